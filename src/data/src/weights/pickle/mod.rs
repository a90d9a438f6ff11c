//! A machine for the pickles that `torch.save` makes of a state dict. It executes nothing.
//!
//! A pickle is a program for a stack machine that may import and call anything. This one knows the opcodes and the few
//! names of [`Global`] that a state dict needs, and turns each of them into a value of its own. Any other name, and
//! whatever is called or built with it (a namespace of arguments, a counter, a number of `NumPy`), is one value that
//! means nothing. Names of functions that run programs are refused. Values live in tables and refer to one another by
//! index: no nesting is too deep, no circle keeps memory.
//!
//! ```text
//! opcode   the instructions, read from the file
//! value    what stands on the stack and in the tables
//! numpy    numbers, texts and arrays of NumPy
//! object   what names, calls and references make
//! ```

mod numpy;
mod object;
mod opcode;
mod value;

use std::collections::HashMap;

use super::cursor::{Cursor, Result, text};
pub use numpy::{Array, ElementType, Numpy};
use opcode::{Op, Width};
pub use value::{Foreign, Global, Made, StorageRef, TensorRef, Value};

/// What a pickle is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Tensors by name.
    StateDict,
    /// Arrays of `NumPy` by image: its names are known too.
    Labels,
}

impl Purpose {
    /// Steps after which a program is none of that purpose. The largest published state dicts take some hundred
    /// thousand; the labels of all images of COCO four million.
    const fn max_steps(self) -> usize {
        match self {
            Self::StateDict => 4_000_000,
            Self::Labels => 16_000_000,
        }
    }
}

/// Runs the program of a state dict at `cursor` to its end, and gives its value.
pub fn run<'a>(cursor: &mut Cursor<'a>) -> Result<(Value<'a>, Made<'a>)> {
    run_for(Purpose::StateDict, cursor)
}

/// Runs the program at `cursor` to its end, and gives its value.
pub fn run_for<'a>(purpose: Purpose, cursor: &mut Cursor<'a>) -> Result<(Value<'a>, Made<'a>)> {
    let mut machine = Machine {
        purpose,
        cursor: cursor.clone(),
        at: cursor.at(),
        steps: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        made: Made::default(),
    };
    let root = machine.run()?;
    *cursor = machine.cursor;
    Ok((root, machine.made))
}

struct Machine<'a> {
    purpose: Purpose,
    cursor: Cursor<'a>,
    /// Where the opcode in hand stands.
    at: usize,
    steps: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack that MARK has set, not yet used.
    marks: Vec<usize>,
    memo: HashMap<u64, Value<'a>>,
    made: Made<'a>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value<'a>> {
        loop {
            self.at = self.cursor.at();
            self.spend(1)?;
            let byte = self.cursor.u8("the next opcode")?;
            match Op::known(byte).map_err(|what| format!("{what} at byte {} is not part of a state dict", self.at))? {
                Op::Stop => return self.pop(),
                op => self.step(op)?,
            }
        }
    }

    /// What changes the stack, the memory or a container, and makes no value; the rest is elsewhere.
    fn step(&mut self, op: Op) -> Result<()> {
        match op {
            Op::Mark => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            Op::Pop if self.marks.last() == Some(&self.stack.len()) => self.above_mark().map(drop),
            Op::Pop => self.pop().map(drop),
            // A set is of no use, and neither is what goes into it.
            Op::PopMark | Op::AddItems => self.above_mark().map(drop),
            Op::Append => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            Op::Appends => {
                let items = self.above_mark()?;
                self.append(items)
            }
            Op::SetItem => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            Op::SetItems => {
                let items = self.above_mark()?;
                self.set_items(&items)
            }
            Op::Put(width) => {
                let index = self.index(width)?;
                self.remember(index)
            }
            Op::Memoize => self.remember(self.memo.len() as u64),
            Op::Build => self.build(),
            other => {
                if let Some(value) = self.value(other)? {
                    self.stack.push(value);
                }
                Ok(())
            }
        }
    }

    /// The value of a container, a reference or a call, or of a literal; none if the opcode only frames others.
    fn value(&mut self, op: Op) -> Result<Option<Value<'a>>> {
        let value = match op {
            Op::Tuple => {
                let items = self.above_mark()?;
                self.tuple(items)
            }
            Op::TupleOf(count) => {
                let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
                items.reverse();
                self.tuple(items)
            }
            Op::EmptyList => {
                self.made.sequences.push(Vec::new());
                Value::List(self.made.sequences.len() - 1)
            }
            Op::EmptyDict => self.dict(Vec::new()),
            Op::Get(width) => {
                let index = self.index(width)?;
                *self.memo.get(&index).ok_or_else(|| format!("nothing is remembered as {index}, byte {}", self.at))?
            }
            Op::Global => {
                let module = text(self.cursor.line("a module's name")?, "a module's name")?;
                let name = text(self.cursor.line("a global's name")?, "a global's name")?;
                self.global(module, name)?
            }
            Op::StackGlobal => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(format!("STACK_GLOBAL at byte {} does not name a module and a global", self.at));
                };
                self.global(module, name)?
            }
            Op::Reduce => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments)?
            }
            Op::ReduceNamed => {
                let (_named, arguments, function) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(function, arguments)?
            }
            Op::EmptySet => Value::Opaque,
            Op::FrozenSet => {
                self.above_mark()?;
                Value::Opaque
            }
            Op::PersistentId => {
                let id = self.pop()?;
                self.storage(id)?
            }
            literal => return self.literal(literal),
        };
        Ok(Some(value))
    }

    /// The value of an opcode that carries it; none if it only frames others.
    fn literal(&mut self, op: Op) -> Result<Option<Value<'a>>> {
        let cursor = &mut self.cursor;
        Ok(Some(match op {
            Op::Proto => {
                let version = cursor.u8("the protocol")?;
                if !(2..=5).contains(&version) {
                    return Err(format!("pickle protocol {version} at byte {}; 2 to 5 are known", self.at));
                }
                return Ok(None);
            }
            Op::Frame => {
                let length = cursor.u64("a frame")?;
                cursor.clone().take(length, "a frame")?;
                return Ok(None);
            }
            Op::None => Value::None,
            Op::Bool(value) => Value::Bool(value),
            Op::Int1 => Value::Int(i64::from(cursor.u8("an integer")?)),
            Op::Int2 => Value::Int(i64::from(cursor.u16("an integer")?)),
            Op::Int4 => Value::Int(i64::from(cursor.i32("an integer")?)),
            Op::Long => {
                let length = cursor.u8("an integer")?;
                long(cursor.take(u64::from(length), "an integer")?)
            }
            Op::Float => {
                cursor.take(8, "a float")?;
                Value::Opaque
            }
            Op::Text(width) => {
                let length = width.read(cursor, "a text's length")?;
                Value::Text(text(cursor.take(length, "a text")?, "a text")?)
            }
            Op::Text2(width) => {
                let length = width.read(cursor, "a text's length")?;
                std::str::from_utf8(cursor.take(length, "a text")?).map_or(Value::Opaque, Value::Text)
            }
            Op::Bytes(width) => {
                let length = width.read(cursor, "the length of bytes")?;
                Value::Bytes(cursor.take(length, "bytes")?)
            }
            _ => unreachable!("`step` takes every other opcode"),
        }))
    }

    fn spend(&mut self, steps: usize) -> Result<()> {
        self.steps += steps;
        let most = self.purpose.max_steps();
        if self.steps > most {
            return Err(format!("the pickle takes more than {most} steps, by byte {}: no state dict", self.at));
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let empty = || format!("the opcode at byte {} finds nothing on the stack", self.at);
        if self.stack.len() > floor { self.stack.pop().ok_or_else(empty) } else { Err(empty()) }
    }

    fn top(&self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(<[_]>::last).copied();
        top.ok_or_else(|| format!("the opcode at byte {} finds nothing on the stack", self.at))
    }

    fn above_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or_else(|| format!("the opcode at byte {} finds no mark", self.at))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, items: Vec<Value<'a>>) -> Value<'a> {
        self.made.sequences.push(items);
        Value::Tuple(self.made.sequences.len() - 1)
    }

    fn dict(&mut self, items: Vec<(Value<'a>, Value<'a>)>) -> Value<'a> {
        self.made.dicts.push(items);
        Value::Dict(self.made.dicts.len() - 1)
    }

    fn append(&mut self, items: Vec<Value<'a>>) -> Result<()> {
        match self.top()? {
            Value::List(list) => self.made.sequences[list].extend(items),
            Value::Foreign(_) => {}
            _ => return Err(format!("append at byte {} to no list", self.at)),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Value<'a>]) -> Result<()> {
        match (self.top()?, items.as_chunks()) {
            (Value::Dict(dict), (pairs, [])) => {
                self.made.dicts[dict].extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            (Value::Foreign(_), (_, [])) => {}
            _ => return Err(format!("items set at byte {} are not pairs for a dict", self.at)),
        }
        Ok(())
    }

    fn index(&mut self, width: Width) -> Result<u64> {
        width.read(&mut self.cursor, "an index")
    }

    fn remember(&mut self, index: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }
}

/// A little-endian integer in two's complement.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > size_of::<i64>() {
        return Value::Long(bytes);
    }
    let sign = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xFF } else { 0 };
    let mut wide = [sign; size_of::<i64>()];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
