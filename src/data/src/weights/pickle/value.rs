//! What a pickle of a state dict may name, and what it makes.

use super::super::tensor::Dtype;
use super::{Array, ElementType, Numpy};

/// What stands on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian.
    Long(&'a [u8]),
    Text(&'a str),
    /// A text of `NumPy`, in UTF-32.
    Wide(&'a [u8]),
    Bytes(&'a [u8]),
    /// A float or a set, of which no state dict makes use.
    Opaque,
    /// A name that no state dict needs, or whatever a call of it would have made.
    Foreign(Foreign<'a>),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
    Array(usize),
    Dtype(usize),
}

/// A name that means nothing here: nothing is imported and nothing is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign<'a> {
    pub module: &'a str,
    pub name: &'a str,
    /// The byte at which the pickle names it.
    pub at: usize,
}

/// Modules of functions that start programs or run code, which no checkpoint has a use for.
const COMMANDS: [&str; 16] = [
    "builtins",
    "__builtin__",
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "runpy",
    "importlib",
    "pty",
    "socket",
    "ctypes",
    "shutil",
    "commands",
    "code",
    "pickle",
];
/// What of the first two, Python's own, is only a type.
const TYPES: [&str; 18] = [
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
    "xrange",
];

impl Foreign<'_> {
    /// Is it there to do harm where someone runs the pickle?
    pub fn is_command(&self) -> bool {
        let module = self.module.split('.').next().unwrap_or_default();
        let type_of_python = ["builtins", "__builtin__"].contains(&self.module) && TYPES.contains(&self.name);
        COMMANDS.contains(&module) && !type_of_python
    }

    /// Why a file is refused in which it stands for the weights.
    pub fn refusal(&self) -> String {
        let Self { module, name, at } = self;
        format!(
            "the pickle names {module}.{name} at byte {at}, which no state dict needs; nothing was run. Save the \
             weights alone: torch.save(net.state_dict(), …)"
        )
    }
}

/// What a program may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(Dtype),
    Numpy(Numpy),
}

impl Global {
    /// The global that a pickle names, if a state dict needs it.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            ("torch", "DoubleStorage") => Self::Storage(Dtype::F64),
            ("torch", "FloatStorage") => Self::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Self::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Dtype::Bf16),
            ("torch", "LongStorage") => Self::Storage(Dtype::I64),
            ("torch", "IntStorage") => Self::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Self::Storage(Dtype::I16),
            ("torch", "CharStorage") => Self::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Self::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Self::Storage(Dtype::Bool),
            _ => return None,
        })
    }
}

/// A storage that the program refers to: its elements stand outside the pickle, under `key`.
#[derive(Clone, Debug)]
pub struct StorageRef<'a> {
    pub dtype: Dtype,
    pub key: &'a str,
    pub count: usize,
    /// Offset and count, if only a part of the elements is meant.
    pub part: Option<(usize, usize)>,
}

/// A tensor: a view of a storage.
#[derive(Clone, Debug)]
pub struct TensorRef {
    pub storage: usize,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a program has made.
#[derive(Debug, Default)]
pub struct Made<'a> {
    /// Tuples and lists.
    pub sequences: Vec<Vec<Value<'a>>>,
    pub dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub storages: Vec<StorageRef<'a>>,
    pub tensors: Vec<TensorRef>,
    pub arrays: Vec<Array<'a>>,
    pub dtypes: Vec<ElementType<'a>>,
}
