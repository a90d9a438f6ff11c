//! `.npy` files as `numpy.save` writes them: arrays, and dicts of arrays, which are a pickle inside, for
//! `numpy.load(file, allow_pickle=True).item()` of NumPy 1 and 2.

use half::f16;

/// A dict.
pub type Dict<'a> = Vec<(Key<'a>, Array<'a>)>;

/// What an entry is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// A number.
    Number(u16),
    /// A text.
    Text(&'a str),
}

/// An array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<'a> {
    /// Its sides; their product is the number of elements.
    pub shape: Vec<usize>,
    /// Its elements.
    pub elements: Elements<'a>,
    /// What holds it.
    pub holder: Holder,
}

/// The elements of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elements<'a> {
    /// float32.
    Floats(&'a [f32]),
    /// int64.
    Integers(&'a [i64]),
}

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A NumPy array.
    NumPy,
    /// A tensor of `PyTorch`, which then has to be there.
    PyTorch,
}

/// What `numpy.save(file, dict)` writes.
pub fn save(dict: &Dict) -> Vec<u8> {
    let mut pickle = Pickle::default();
    pickle.array_of(dict);
    [header("|O", "()"), pickle.0].concat()
}

/// What `numpy.save` writes of an array of float16 of three dimensions, row-major.
pub fn save_halves(values: &[f32], [depth, height, width]: [usize; 3]) -> Vec<u8> {
    let mut bytes = header("<f2", &format!("({depth}, {height}, {width})"));
    bytes.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
    bytes
}

/// The format's name and version.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// All before the elements.
fn header(descr: &str, shape: &str) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version, length and header fill a multiple of 64 bytes.
    let unpadded = MAGIC.len() + 2 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    [MAGIC, &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat()
}

/// The program of a stack machine, protocol 3, as it grows. Each method pushes one value.
#[derive(Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    /// The array without sides whose one element is the dict.
    fn array_of(&mut self, dict: &Dict) {
        self.0.extend(b"\x80\x03");
        self.ndarray(&[], "O8", |pickle| {
            pickle.0.extend(b"](}("); // a list with a dict
            for (key, array) in dict {
                match key {
                    Key::Number(number) => pickle.number(i32::from(*number)),
                    Key::Text(text) => pickle.text(text),
                }
                pickle.array(array);
            }
            pickle.0.extend(b"ue"); // into the dict, into the list
        });
        self.0.push(b'.');
    }

    fn array(&mut self, array: &Array) {
        if array.holder == Holder::PyTorch {
            self.0.extend(b"ctorch\nfrom_numpy\n(");
        }
        let (code, bytes): (_, Vec<u8>) = match array.elements {
            Elements::Floats(values) => ("f4", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Elements::Integers(values) => ("i8", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        };
        self.ndarray(&array.shape, code, |pickle| {
            let length = u32::try_from(bytes.len()).expect("a map of a picture is below 4 GB");
            pickle.0.push(b'B');
            pickle.0.extend(length.to_le_bytes());
            pickle.0.extend(&bytes);
        });
        if array.holder == Holder::PyTorch {
            self.0.extend(b"tR");
        }
    }

    /// `_reconstruct(ndarray, (0,), b"b")` with the state `(1, shape, dtype, False, elements)`.
    fn ndarray(&mut self, shape: &[usize], code: &str, elements: impl FnOnce(&mut Self)) {
        self.0.extend(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01(");
        for side in shape {
            self.number(i32::try_from(*side).expect("a side of a picture"));
        }
        self.0.push(b't');
        self.dtype(code);
        self.0.push(0x89);
        elements(self);
        self.0.extend(b"tb");
    }

    /// `dtype(code, False, True)` with its state: version, byte order, no fields, and for objects their flags.
    fn dtype(&mut self, code: &str) {
        self.0.extend(b"cnumpy\ndtype\n(");
        self.text(code);
        self.0.extend(b"\x89\x88tR(K\x03");
        let object = code.starts_with('O');
        self.text(if object { "|" } else { "<" });
        self.0.extend(b"NNN");
        self.number(-1);
        self.number(-1);
        self.number(if object { 63 } else { 0 });
        self.0.extend(b"tb");
    }

    fn number(&mut self, number: i32) {
        self.0.push(b'J');
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }
}
