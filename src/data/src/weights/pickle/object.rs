//! What names, calls and references of a pickle make.

use super::super::cursor::Result;
use super::{Foreign, Global, Machine, Numpy, Purpose, StorageRef, TensorRef, Value};

impl<'a> Machine<'a> {
    /// What a name stands for.
    pub(super) fn global(&self, module: &'a str, name: &'a str) -> Result<Value<'a>> {
        if self.purpose == Purpose::Labels {
            let known = Numpy::find(module, name).map(|name| Value::Global(Global::Numpy(name)));
            return known.ok_or_else(|| {
                format!("the pickle names {module}.{name} at byte {}, which no labels need; nothing was run", self.at)
            });
        }
        if let Some(global) = Global::find(module, name) {
            return Ok(Value::Global(global));
        }
        let foreign = Foreign { module, name, at: self.at };
        if foreign.is_command() { Err(foreign.refusal()) } else { Ok(Value::Foreign(foreign)) }
    }

    /// REDUCE: what the call of a known function would give.
    pub(super) fn call(&mut self, function: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>> {
        let at = self.at;
        let wrong = || format!("the call at byte {at} is none that makes a state dict");
        let (function, arguments) = match (function, arguments) {
            (Value::Foreign(foreign), _) => return Ok(Value::Foreign(foreign)),
            (Value::Global(function), Value::Tuple(arguments)) => (function, arguments),
            _ => return Err(wrong()),
        };
        match (function, self.made.sequences[arguments].as_slice()) {
            (Global::OrderedDict, []) => Ok(self.dict(Vec::new())),
            // Python 2 gives the items as a list of pairs.
            (Global::OrderedDict, &[Value::List(list)]) => {
                self.spend(self.made.sequences[list].len())?;
                let pair = |item: &Value| match *item {
                    Value::Tuple(pair) | Value::List(pair) => match *self.made.sequences[pair] {
                        [key, value] => Some((key, value)),
                        _ => None,
                    },
                    _ => None,
                };
                let items: Option<Vec<_>> = self.made.sequences[list].iter().map(pair).collect();
                items.map(|items| self.dict(items)).ok_or_else(wrong)
            }
            // Then follow requires_grad, hooks and metadata, which hold nothing of the values.
            (
                Global::RebuildTensor,
                &[Value::Storage(storage), Value::Int(offset), Value::Tuple(shape), Value::Tuple(strides), ..],
            ) => {
                self.spend(self.made.sequences[shape].len() + self.made.sequences[strides].len())?;
                let offset = usize::try_from(offset).map_err(|_| wrong())?;
                let shape = self.sizes(shape).ok_or_else(wrong)?;
                let strides = self.sizes(strides).ok_or_else(wrong)?;
                self.made.tensors.push(TensorRef { storage, offset, shape, strides });
                Ok(Value::Tensor(self.made.tensors.len() - 1))
            }
            // A tensor of a type that no weights have.
            (Global::RebuildTensor | Global::RebuildParameter, &[Value::Foreign(foreign), ..]) => {
                Ok(Value::Foreign(foreign))
            }
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => Ok(tensor),
            (Global::Numpy(function), _) => Ok(self.call_numpy(function, arguments)),
            (Global::Size, &[Value::Tuple(sizes) | Value::List(sizes)]) => Ok(Value::Tuple(sizes)),
            _ => Err(wrong()),
        }
    }

    pub(super) fn sizes(&self, sequence: usize) -> Option<Vec<usize>> {
        let size = |value: &Value| if let Value::Int(size) = *value { usize::try_from(size).ok() } else { None };
        self.made.sequences[sequence].iter().map(size).collect()
    }

    /// BUILD sets attributes of an object. A state dict has one, `_metadata`, which is not needed.
    pub(super) fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        match (self.top()?, state) {
            (Value::Dict(_), Value::Dict(_)) | (Value::Foreign(_), _) => Ok(()),
            (of @ (Value::Array(_) | Value::Dtype(_) | Value::Opaque), state) if self.purpose == Purpose::Labels => {
                self.build_numpy(of, state);
                Ok(())
            }
            _ => Err(format!("BUILD at byte {} sets the state of an object that is no dict", self.at)),
        }
    }

    /// BINPERSID: `("storage", type, key, location, count)` and, in the layout of 2018, `None` or
    /// `(key, offset, count)`.
    pub(super) fn storage(&mut self, id: Value<'a>) -> Result<Value<'a>> {
        let at = self.at;
        let wrong = || format!("the reference at byte {at} is to no storage of a tensor");
        let Value::Tuple(id) = id else { return Err(wrong()) };
        if let [Value::Text("storage"), Value::Foreign(foreign), ..] = *self.made.sequences[id] {
            return Ok(Value::Foreign(foreign));
        }
        let [
            Value::Text("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Text(key),
            _,
            Value::Int(count),
            ref rest @ ..,
        ] = *self.made.sequences[id]
        else {
            return Err(wrong());
        };
        let size = |n: i64| usize::try_from(n).map_err(|_| wrong());
        let part = match *rest {
            [] | [Value::None] => None,
            [Value::Tuple(part)] => match *self.made.sequences[part] {
                [_, Value::Int(offset), Value::Int(count)] => Some((size(offset)?, size(count)?)),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let count = size(count)?;
        self.made.storages.push(StorageRef { dtype, key, count, part });
        Ok(Value::Storage(self.made.storages.len() - 1))
    }
}
