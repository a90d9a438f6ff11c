//! A rolling hash of every value a training has logged: two runs with one hash have gone the same way to the last bit,
//! and where their hashes part, their curves tell the first step.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `h_0 = 0`, `h_n = BLAKE3(h_{n-1}, values of step n)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LossHash([u8; 32]);

impl LossHash {
    /// The hash of a curve, one row of values a step.
    pub fn of(curve: &[Vec<f64>]) -> Self {
        let mut hash = Self::default();
        for values in curve {
            hash.add(values);
        }
        hash
    }

    /// Takes up one step.
    pub fn add(&mut self, values: &[f64]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        for value in values {
            hasher.update(&value.to_bits().to_le_bytes());
        }
        self.0 = *hasher.finalize().as_bytes();
    }
}

impl fmt::Display for LossHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl From<LossHash> for String {
    fn from(hash: LossHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for LossHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hash = blake3::Hash::from_hex(&text).map_err(|error| format!("'{text}' is no hash: {error}"))?;
        Ok(Self(*hash.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::LossHash;

    #[test]
    fn a_hash_goes_on_where_it_was_and_knows_the_order_and_the_last_bit() {
        let curve = [vec![1.0, f64::NAN], vec![0.5, 0.25]];
        let mut rolling = LossHash::of(&curve[..1]);
        rolling.add(&curve[1]);
        assert_eq!(rolling, LossHash::of(&curve));
        assert_ne!(rolling, LossHash::of(&[curve[1].clone(), curve[0].clone()]));
        assert_ne!(rolling, LossHash::of(&[curve[0].clone(), vec![0.5, 0.25f64.next_up()]]));
        assert_eq!(LossHash::try_from(String::from(rolling)), Ok(rolling));
    }
}
