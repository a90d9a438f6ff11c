//! What the training loop does where several processes train one network: each has its share of every batch, all stop
//! and save at the same steps, and what they have learnt is compared.

use artifact::{Error, ParamError, Result};
use tch::{Device, Kind, Tensor, no_grad};

use crate::ranks;

/// Refuses a batch that the processes of the environment, or as many as `processes` says, cannot share evenly.
pub fn check(batch_size: usize, processes: usize) -> Result<(), ParamError> {
    let number = stage::ranks::number(processes);
    let number = number.map_err(|error| ParamError::new("loop.processes", error.to_string()))?;
    if batch_size.is_multiple_of(number) {
        return Ok(());
    }
    let reason =
        format!("{batch_size} images are not divided evenly by {number} processes; give a multiple of {number}");
    Err(ParamError::new("loop.batch_size", reason))
}

/// How many of something that a machine has are for this process, of `local_size` on its machine; at least one.
pub fn of_machine(whole: usize, local_size: usize) -> usize {
    (whole / local_size.max(1)).max(1)
}

/// Which of the items of an epoch this process sees: of every full batch an equal part, the next for the next rank.
pub fn of_order(order: Vec<usize>, batch_size: usize) -> Vec<usize> {
    let (rank, size) = (ranks::rank(), ranks::size());
    if size == 1 {
        return order;
    }
    let own = batch_size / size;
    order.chunks_exact(batch_size).flat_map(|batch| batch[rank * own..(rank + 1) * own].to_vec()).collect()
}

/// What a process wants at the end of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// To stop, since a signal has come.
    pub stop: bool,
    /// To save a checkpoint, since it is time.
    pub save: bool,
}

impl Wish {
    /// What any process wants.
    pub fn of_all(self) -> Result<Self> {
        if ranks::size() == 1 {
            return Ok(self);
        }
        let wishes = ranks::gathered(&[self.stop.into(), self.save.into()])?;
        let any = |at: usize| wishes.iter().any(|wish| wish[at] != 0);
        Ok(Self { stop: any(0), save: any(1) })
    }
}

/// Fails if a process has come to another state than rank 0: then one of them has computed wrongly, or went on from
/// another checkpoint.
pub fn compare(state: &[(String, Tensor)], step: u64) -> Result<()> {
    if ranks::size() == 1 {
        return Ok(());
    }
    let digest = digest(state, step);
    let rows = ranks::gathered(&digest)?;
    let differing: Vec<_> =
        (1..rows.len()).filter(|rank| rows[*rank] != rows[0]).map(|rank| rank.to_string()).collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "after step {step}: rank {} has other parameters than rank 0; the checkpoint before is kept, run the same \
         command again",
        differing.join(", ")
    )))
}

/// A digest of names and bytes, in whatever order they come, as four whole numbers.
fn digest(state: &[(String, Tensor)], step: u64) -> [i64; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&step.to_le_bytes());
    let mut state: Vec<_> = state.iter().collect();
    state.sort_by_key(|(name, _)| name);
    for (name, tensor) in state {
        hasher.update(name.as_bytes());
        let bytes = no_grad(|| tensor.detach().to_device(Device::Cpu).contiguous().view(-1).view_dtype(Kind::Uint8));
        hasher.update(&Vec::<u8>::try_from(bytes).expect("a flat tensor of bytes"));
    }
    let digest = hasher.finalize();
    let (words, _) = digest.as_bytes().as_chunks::<8>();
    [0, 1, 2, 3].map(|at| i64::from_le_bytes(words[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_knows_every_bit_every_name_and_the_step() {
        let state = |name: &str, value: f32| vec![(name.to_owned(), Tensor::from_slice(&[1.0, value]).view([2, 1]))];
        let one = digest(&state("a", 2.0), 3);
        let two = |names: [&str; 2]| names.into_iter().flat_map(|name| state(name, 2.0)).collect::<Vec<_>>();
        assert_eq!(digest(&two(["a", "b"]), 3), digest(&two(["b", "a"]), 3));
        assert_eq!(one, digest(&state("a", 2.0), 3));
        for other in
            [digest(&state("b", 2.0), 3), digest(&state("a", 2.0_f32.next_up()), 3), digest(&state("a", 2.0), 4)]
        {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_batch_is_divided_evenly_or_refused() {
        assert!(check(16, 1).is_ok() && check(16, 4).is_ok());
        let refused = check(16, 3).unwrap_err().to_string();
        assert!(refused.contains("loop.batch_size") && refused.contains("3 processes"), "{refused}");
    }

    #[test]
    fn every_process_has_a_thread() {
        assert_eq!([of_machine(4, 2), of_machine(1, 2), of_machine(3, 1)], [2, 1, 3]);
    }
}
