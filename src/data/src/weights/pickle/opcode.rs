//! The opcodes of a pickle: those that a state dict needs, and the names of the others, for the refusal.

use super::super::cursor::{Cursor, Result};

/// An opcode that [`super::run`] carries out.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Proto,
    Frame,
    Stop,
    Mark,
    Pop,
    PopMark,
    None,
    Bool(bool),
    Int1,
    Int2,
    Int4,
    Long,
    Float,
    Text(Width),
    /// Python 2's strings: text or bytes.
    Text2(Width),
    Bytes(Width),
    Tuple,
    TupleOf(usize),
    EmptyList,
    EmptyDict,
    Append,
    Appends,
    SetItem,
    SetItems,
    Put(Width),
    Get(Width),
    Memoize,
    Global,
    StackGlobal,
    /// A call, of a function or of a type; the second has named arguments too.
    Reduce,
    ReduceNamed,
    EmptySet,
    AddItems,
    FrozenSet,
    Build,
    PersistentId,
}

/// Bytes of a length or an index.
#[derive(Clone, Copy, Debug)]
pub enum Width {
    One,
    Four,
}

impl Width {
    pub fn read(self, cursor: &mut Cursor, what: &str) -> Result<u64> {
        match self {
            Self::One => cursor.u8(what).map(u64::from),
            Self::Four => cursor.u32(what).map(u64::from),
        }
    }
}

impl Op {
    /// The opcode `byte`, or the name of what it would be.
    pub fn known(byte: u8) -> Result<Self> {
        use Width::{Four, One};
        Ok(match byte {
            0x80 => Self::Proto,
            0x95 => Self::Frame,
            b'.' => Self::Stop,
            b'(' => Self::Mark,
            b'0' => Self::Pop,
            b'1' => Self::PopMark,
            b'N' => Self::None,
            0x88 => Self::Bool(true),
            0x89 => Self::Bool(false),
            b'K' => Self::Int1,
            b'M' => Self::Int2,
            b'J' => Self::Int4,
            0x8A => Self::Long,
            b'G' => Self::Float,
            0x8C => Self::Text(One),
            b'X' => Self::Text(Four),
            b'U' => Self::Text2(One),
            b'T' => Self::Text2(Four),
            b'C' => Self::Bytes(One),
            b'B' => Self::Bytes(Four),
            b't' => Self::Tuple,
            b')' => Self::TupleOf(0),
            0x85 => Self::TupleOf(1),
            0x86 => Self::TupleOf(2),
            0x87 => Self::TupleOf(3),
            b']' => Self::EmptyList,
            b'}' => Self::EmptyDict,
            b'a' => Self::Append,
            b'e' => Self::Appends,
            b's' => Self::SetItem,
            b'u' => Self::SetItems,
            b'q' => Self::Put(One),
            b'r' => Self::Put(Four),
            b'h' => Self::Get(One),
            b'j' => Self::Get(Four),
            0x94 => Self::Memoize,
            b'c' => Self::Global,
            0x93 => Self::StackGlobal,
            b'R' | 0x81 => Self::Reduce,
            0x92 => Self::ReduceNamed,
            0x8F => Self::EmptySet,
            0x90 => Self::AddItems,
            0x91 => Self::FrozenSet,
            b'b' => Self::Build,
            b'Q' => Self::PersistentId,
            _ => return Err(name(byte)),
        })
    }
}

/// The name of an opcode that is refused.
fn name(byte: u8) -> String {
    let name = match byte {
        b'i' => "INST",
        b'o' => "OBJ",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        b'P' => "PERSID",
        b'2' => "DUP",
        b'p' => "PUT",
        b'g' => "GET",
        b'I' => "INT",
        b'L' => "LONG",
        b'F' => "FLOAT",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'd' => "DICT",
        b'l' => "LIST",
        0x8B => "LONG4",
        0x8D => "BINUNICODE8",
        0x8E => "BINBYTES8",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        other => return format!("byte {other:#04x}, which is no opcode,"),
    };
    format!("opcode {name}")
}
