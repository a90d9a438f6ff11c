//! The processes that train one network together: what is summed over them. A process alone sums nothing, and its
//! results are what they are without this file.
//!
//! Each process sees an equal share of every batch. What is trained is the mean of the processes' losses, so what is a
//! mean over a batch stays one. Whatever counts (pixels, labels, pairs) is divided by [`divisor`], and statistics of a
//! batch are summed before they are normalised.
//!
//! A sum that fails, because another process is gone, leaves its tensor as it is; [`check`] tells it, before anything
//! is changed for good.

use std::cell::Cell;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use artifact::error::exit;
use artifact::{Error, Result};
use collective::{Holder, Meeting, Moments, World};
use stage::ranks::{Rank, Together};
use tch::{Kind, Tensor, no_grad};

/// How long processes wait for each other at the start.
const WAIT: Duration = Duration::from_secs(45);

thread_local! {
    /// The others of the training that this thread runs.
    static WORLD: Cell<Option<&'static World>> = const { Cell::new(None) };
}

/// Joins the other processes as this rank; for a stage's `JOIN`. From now on this thread's sums are over all of them.
pub fn join(rank: &Rank, socket: Option<TcpListener>) -> Result<Arc<dyn Together>> {
    let Rank { rank, size, store, .. } = rank;
    let holder = match socket {
        Some(socket) => Holder::Socket(socket),
        None if store.launcher => Holder::Launcher,
        None => Holder::First,
    };
    let (host, port, lost) = (store.host.as_str(), store.port, exit::STOPPED);
    let name = format!("camflow{}", store.attempt);
    let meeting = Meeting { rank: *rank, size: *size, host, port, name: &name, holder, wait: WAIT, lost };
    let world = World::join(meeting).map_err(|reason| Error::Failed(format!("rank {rank} of {size}: {reason}")))?;
    WORLD.set(Some(world));
    Ok(Arc::new(Joined(world)))
}

/// The others, as a stage speaks to them.
struct Joined(&'static World);

impl Together for Joined {
    fn tell(&self, name: &str, what: &str) -> Result<()> {
        self.0.tell(name, what).map_err(|reason| lost(&reason))
    }

    fn hear(&self, name: &str) -> Result<String> {
        self.0.hear(name).map_err(|reason| lost(&reason))
    }

    fn leave(&self) -> Result<()> {
        WORLD.set(None);
        self.0.leave().map_err(|reason| lost(&reason))
    }
}

fn lost(reason: &str) -> Error {
    let reason = reason.lines().next().unwrap_or_default();
    Error::Stopped(format!(
        "another process of this training is gone ({reason}); what is done is kept, run the same command again"
    ))
}

/// How many processes there are.
pub fn size() -> usize {
    WORLD.get().map_or(1, World::size)
}

/// The number of this process, from 0.
pub fn rank() -> usize {
    WORLD.get().map_or(0, World::rank)
}

/// Fails if a sum has failed.
pub fn check() -> Result<()> {
    WORLD.get().map_or(Ok(()), |world| world.check().map_err(|reason| lost(&reason)))
}

/// Sums a contiguous tensor over the processes, in place.
pub fn sum_in_place(tensor: &mut Tensor) {
    if let Some(world) = WORLD.get() {
        no_grad(|| world.sum(tensor));
    }
}

/// The sum of a tensor over the processes, without gradient.
pub fn sum(tensor: &Tensor) -> Tensor {
    if WORLD.get().is_none() {
        return tensor.shallow_clone();
    }
    let mut sum = no_grad(|| tensor.detach().copy().contiguous());
    sum_in_place(&mut sum);
    sum
}

/// Batch normalisation of this process's part of a batch, for a process among others; see [`World::normalise`].
pub fn normalise(x: &Tensor, by: &Moments<'_>) -> Tensor {
    WORLD.get().expect("a process alone has the whole batch").normalise(x, by)
}

/// By what a sum over the items of this process is divided, so that the mean over the processes is the sum over all
/// items by `finite(count of all items)`. `finite` keeps a division by nothing finite.
///
/// # Shapes
/// `count`: a scalar; to a scalar without gradient.
pub fn divisor(count: &Tensor, finite: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let all = finite(&sum(count));
    if size() == 1 { all } else { all / size() as f64 }
}

/// A row of whole numbers of every process, in the order of their ranks.
pub fn gathered(row: &[i64]) -> Result<Vec<Vec<i64>>> {
    let mut rows = Tensor::zeros([size() as i64, row.len() as i64], tch::kind::INT64_CPU);
    rows.get(rank() as i64).copy_(&Tensor::from_slice(row));
    sum_in_place(&mut rows);
    check()?;
    Ok(Vec::<Vec<i64>>::try_from(rows).expect("a matrix of whole numbers"))
}

/// The mean over the processes of values that each has.
pub fn mean(values: Tensor) -> Tensor {
    if size() == 1 { values } else { sum(&values.to_kind(Kind::Double)) / size() as f64 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use stage::ranks::Store;
    use std::thread;
    use tch::Device;

    /// Runs `work` in as many threads, each of which is a process to the others, and returns what each has made.
    pub fn together<T: Send>(size: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut socket = Some(socket);
        thread::scope(|scope| {
            let run = |rank: usize, socket: Option<TcpListener>| {
                let work = &work;
                scope.spawn(move || {
                    let store = Store { host: "127.0.0.1".into(), port, launcher: false, attempt: String::new() };
                    let rank = Rank { rank, size, local: rank, local_size: size, store };
                    let joined = join(&rank, socket).unwrap();
                    let made = work(rank.rank);
                    joined.leave().unwrap();
                    made
                })
            };
            let running: Vec<_> = (0..size).map(|rank| run(rank, socket.take())).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::<f64>::try_from(tensor.to_kind(Kind::Double).view(-1)).unwrap()
    }

    #[test]
    fn sums_divisors_and_rows_are_over_all_processes() {
        let made = together(3, |rank| {
            assert_eq!((super::rank(), size()), (rank, 3));
            let own = Tensor::from_slice(&[1.0, rank as f64]);
            let divisor = divisor(&Tensor::from(rank as f64), |all| all + 1.0);
            let rows = gathered(&[rank as i64, 7]).unwrap();
            (numbers(&sum(&own)), numbers(&divisor), rows, numbers(&mean(own)))
        });
        for (sum, divisor, rows, mean) in made {
            assert_eq!((sum, divisor), (vec![3.0, 3.0], vec![4.0 / 3.0]));
            assert_eq!(rows, [[0, 7], [1, 7], [2, 7]]);
            assert_eq!(mean, [1.0, 1.0]);
        }
    }

    #[test]
    fn a_process_alone_sums_nothing() {
        let one = Tensor::from_slice(&[1.5_f32]);
        assert_eq!((size(), rank()), (1, 0));
        assert_eq!(sum(&one), one);
        assert_eq!(divisor(&Tensor::from(0.0_f32), |all| all.clamp_min(1.0)).kind(), Kind::Float);
        assert_eq!(gathered(&[4]).unwrap(), [[4]]);
        assert!(check().is_ok() && one.device() == Device::Cpu);
    }
}
