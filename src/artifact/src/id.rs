//! Identifiers that every table shares.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::printable;
use crate::{Error, Result};

/// A class as stored: 0 is the background, foreground class `c` of the manifest's list is `c + 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassId(pub u8);

impl ClassId {
    /// The class of everything that is none of the listed classes.
    pub const BACKGROUND: Self = Self(0);
    /// "Do not score, do not train here" in masks and labels.
    pub const VOID: Self = Self(255);

    /// The class at `index` (from 0) of the foreground list.
    pub fn from_foreground(index: usize) -> Self {
        Self(u8::try_from(index + 1).expect("at most 254 foreground classes"))
    }

    /// The index (from 0) in the foreground list; `None` for background and void.
    pub fn foreground(self) -> Option<usize> {
        (self != Self::BACKGROUND && self != Self::VOID).then(|| self.0 as usize - 1)
    }
}

/// An image's name in its data set: that of its file without ending, with `/` where folders tell names apart. Whoever
/// makes a file name of it has to escape it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(String);

impl ImageId {
    /// Accepts what a file can be called: 1 to 1000 bytes without control characters.
    pub fn new(id: &str) -> Result<Self> {
        if id.is_empty() || id.len() > 1000 || id.contains(char::is_control) {
            let shown = printable(id, 80);
            return Err(Error::Data(format!(
                "'{shown}' is no image id: use 1 to 1000 bytes without control characters"
            )));
        }
        Ok(Self(id.to_owned()))
    }

    /// An id that [`ImageId::new`] accepted before it was stored.
    pub(crate) fn from_stored(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
