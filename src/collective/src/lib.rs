//! The processes of one training, and sums over them: c10d's `TCPStore` and Gloo out of the libtorch that is there, and
//! NCCL for GPUs. Reads and writes no file.
//!
//! Elsewhere than on Linux, and without c10d's headers, nobody can join, and a training has one process.
//!
//! ```text
//! native  c10d through the one C++ file of this workspace, c10d/shim.cpp
//! nccl    NCCL through its C interface
//! watch   whether the others are alive
//! absent  the same without c10d
//! ```

#[cfg(not(c10d))]
#[path = "absent.rs"]
mod native;
#[cfg(c10d)]
mod native;
mod nccl;
mod watch;

use std::ffi::c_int;
use std::net::TcpListener;
use std::os::fd::IntoRawFd as _;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tch::{Device, Tensor};

use native::{Gloo, Store};
use nccl::{Communicator, Nccl};
use watch::Watch;

/// How often a process looks for what it waits for.
const LOOK: Duration = Duration::from_millis(50);
/// No sum takes so long: a process that is alive and does not come to it hangs.
const SUM: Duration = Duration::from_mins(30);

/// Where a store is.
#[cfg_attr(not(c10d), expect(dead_code, reason = "nobody joins"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address<'a> {
    /// The machine.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// What every key begins with.
    pub prefix: &'a str,
}

/// Which process holds a store.
#[cfg_attr(not(c10d), expect(dead_code, reason = "nobody joins"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    /// Another one.
    Elsewhere,
    /// This one, on every address of the machine.
    Here,
    /// This one, on a listening socket, which the store takes over.
    On(c_int),
}

/// Over what the processes of a group speak to each other.
#[cfg_attr(not(c10d), expect(dead_code, reason = "nobody joins"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Network<'a> {
    /// An address of this machine.
    Host(&'a str),
    /// A network interface, such as `eth0`.
    Interface(&'a str),
    /// The address of this machine's name.
    Hostname,
}

/// What sums tensors over processes. It lives as long as the program: a graph may hold it.
pub(crate) trait Summing: 'static {
    /// Sums a contiguous tensor over all processes, in place.
    #[cfg_attr(not(c10d), expect(dead_code, reason = "nobody joins"))]
    fn sum(&self, tensor: &mut Tensor);
}

/// By what a part of a batch is normalised; all tensors are f32 `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct Moments<'a> {
    /// Mean of the whole batch.
    pub mean: &'a Tensor,
    /// Its variance, not corrected for the number of values.
    pub variance: &'a Tensor,
    /// Values a channel of the whole batch.
    pub count: f64,
    /// By what the result is multiplied.
    pub weight: &'a Tensor,
    /// What is added then.
    pub bias: &'a Tensor,
    /// What is added to a variance before its root.
    pub eps: f64,
}

/// Where and as whom a process joins.
#[derive(Debug)]
pub struct Meeting<'a> {
    /// The number of this process, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// The machine on which the store is.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// What tells this training from others that use the store.
    pub name: &'a str,
    /// Who holds the store.
    pub holder: Holder,
    /// How long the others are waited for.
    pub wait: Duration,
    /// The exit code of this process when another is gone.
    pub lost: u8,
}

/// Who holds the store in which processes find each other.
#[derive(Debug)]
pub enum Holder {
    /// Rank 0.
    First,
    /// Rank 0, which is this process, on a socket that listens already.
    Socket(TcpListener),
    /// Whoever started the processes.
    Launcher,
}

/// A process among the others.
pub struct World {
    rank: usize,
    size: usize,
    /// In the order in which they are closed.
    communicator: OnceLock<Result<Mutex<Communicator>, String>>,
    group: Mutex<Option<Gloo>>,
    watch: Mutex<Option<Watch>>,
    store: Store,
    failure: Mutex<Option<String>>,
}

impl World {
    /// Joins the others. It lives as long as the program, for gradients flow through it.
    ///
    /// # Errors
    /// After [`Meeting::wait`] the message names the ranks that are missing.
    pub fn join(meeting: Meeting<'_>) -> Result<&'static Self, String> {
        let Meeting { rank, size, host, port, name, holder, wait, lost } = meeting;
        let address = Address { host, port, prefix: name };
        let server = match holder {
            Holder::First if rank == 0 => Server::Here,
            Holder::First | Holder::Launcher => Server::Elsewhere,
            Holder::Socket(socket) => Server::On(socket.into_raw_fd()),
        };
        let absent = |error: String| match server {
            Server::Elsewhere => format!(
                "rank 0 of {size} is missing: nobody answers at {host}:{port} within {} s ({error})",
                wait.as_secs()
            ),
            Server::Here | Server::On(_) => format!("cannot listen at {host}:{port}: {error}"),
        };
        let store = Store::open(&address, server, wait).map_err(absent)?;
        meet(&store, [rank, size], wait)?;
        let interface = std::env::var("GLOO_SOCKET_IFNAME").ok();
        let network = match &interface {
            Some(interface) => Network::Interface(interface),
            None if is_loopback(host) => Network::Host("127.0.0.1"),
            None => Network::Hostname,
        };
        let group = Gloo::open(&store, [rank, size], network, SUM)?;
        let watch = Watch::start(Store::open(&address, Server::Elsewhere, wait)?, [rank, size], lost);
        let (communicator, failure) = (OnceLock::new(), Mutex::new(None));
        let (group, watch) = (Mutex::new(Some(group)), Mutex::new(Some(watch)));
        Ok(Box::leak(Box::new(Self { rank, size, communicator, group, watch, store, failure })))
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Says something to the others, under a name of its own.
    pub fn tell(&self, name: &str, what: &str) -> Result<(), String> {
        self.store.set(&format!("told/{name}"), what)
    }

    /// Waits for what another says under a name, however long that takes while it is alive.
    pub fn hear(&self, name: &str) -> Result<String, String> {
        let key = format!("told/{name}");
        loop {
            match self.store.get(&key)? {
                Some(told) => return Ok(told),
                None => thread::sleep(LOOK),
            }
        }
    }

    /// Sums a contiguous tensor over all processes, in place. All sum tensors of the same shapes in the same order. A
    /// sum that fails is told by [`World::check`]; from then on no other is made.
    pub fn sum(&self, tensor: &mut Tensor) {
        if self.check().is_err() {
            return;
        }
        let result = match (tensor.device(), held(&self.group).as_ref()) {
            (Device::Cuda(device), Some(_)) => self.sum_on_gpu(tensor, device),
            (_, Some(group)) => group.sum(tensor),
            (_, None) => Err("a sum after the end".to_owned()),
        };
        *held(&self.failure) = result.err();
    }

    /// Batch normalisation of a part of a batch, `[B, C, h, w]`, by the moments of the whole batch. Gradients are those
    /// of the sum of the processes' losses: they flow through the moments to every part, which takes a sum over the
    /// processes.
    pub fn normalise(&'static self, x: &Tensor, by: &Moments<'_>) -> Tensor {
        native::normalise(x, by, self).unwrap_or_else(|reason| {
            held(&self.failure).get_or_insert(reason);
            x.shallow_clone()
        })
    }

    /// Fails if a sum has failed.
    pub fn check(&self) -> Result<(), String> {
        held(&self.failure).clone().map_or(Ok(()), Err)
    }

    /// Waits for all processes and parts from them: from now on each ends when it likes.
    pub fn leave(&self) -> Result<(), String> {
        // Whoever comes to this sum last ends the waiting of all; nobody needs to be watched beyond.
        held(&self.watch).take();
        self.sum(&mut Tensor::from_slice(&[0_i64]));
        self.check()?;
        held(&self.group).take();
        Ok(())
    }

    fn sum_on_gpu(&self, tensor: &mut Tensor, device: usize) -> Result<(), String> {
        let join = || {
            let nccl = Nccl::load()?;
            let id = if self.rank == 0 {
                let id = nccl.unique_id()?;
                self.tell("nccl", &id)?;
                id
            } else {
                self.hear("nccl")?
            };
            nccl.communicator(&id, [self.rank, self.size], device).map(Mutex::new)
        };
        held(self.communicator.get_or_init(join).as_ref().map_err(Clone::clone)?).sum(tensor)
    }
}

impl Summing for World {
    fn sum(&self, tensor: &mut Tensor) {
        Self::sum(self, tensor);
    }
}

/// What a lock holds; a thread that died with it has left it as it was.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Announces this process and waits for the others.
fn meet(store: &Store, [rank, size]: [usize; 2], wait: Duration) -> Result<(), String> {
    let since = Instant::now();
    let mut missing: Vec<usize> = (0..size).collect();
    store.set(&format!("here/{rank}"), "")?;
    loop {
        let look = |ranks: &[usize]| -> Result<Vec<usize>, String> {
            let mut missing = Vec::new();
            for other in ranks {
                if store.get(&format!("here/{other}"))?.is_none() {
                    missing.push(*other);
                }
            }
            Ok(missing)
        };
        // Rank 0 may have waited long enough and closed the store.
        let seen = look(&missing);
        let over = seen.is_err() || since.elapsed() > wait;
        missing = seen.unwrap_or(missing);
        if missing.is_empty() {
            return Ok(());
        }
        if over {
            let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
            let (ranks, are) = if names.len() == 1 { ("rank", "is") } else { ("ranks", "are") };
            let (names, seconds) = (names.join(", "), since.elapsed().as_secs());
            return Err(format!("{ranks} {names} of {size} {are} missing after {seconds} s"));
        }
        thread::sleep(LOOK);
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[cfg(c10d)]
mod tests {
    use super::*;

    fn meeting<'a>(rank: usize, size: usize, port: u16, holder: Holder) -> Meeting<'a> {
        let wait = Duration::from_secs(2);
        Meeting { rank, size, host: "127.0.0.1", port, name: "test", holder, wait, lost: 75 }
    }

    fn socket() -> (TcpListener, u16) {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, port)
    }

    #[test]
    fn processes_sum_what_they_have_and_hear_what_rank_0_says() {
        let (socket, port) = socket();
        let mut holders = vec![Holder::First, Holder::First, Holder::Socket(socket)];
        thread::scope(|scope| {
            for rank in 0..3 {
                let holder = holders.pop().unwrap();
                scope.spawn(move || {
                    let world = World::join(meeting(rank, 3, port, holder)).unwrap();
                    if rank == 0 {
                        world.tell("word", "go").unwrap();
                    }
                    assert_eq!(world.hear("word").unwrap(), "go");
                    let mut tensor = Tensor::from_slice(&[1.0_f32, rank as f32]);
                    world.sum(&mut tensor);
                    assert_eq!(tensor, Tensor::from_slice(&[3.0_f32, 3.0]));
                    world.leave().unwrap();
                    world.sum(&mut tensor);
                    assert!(world.check().unwrap_err().contains("after the end"));
                });
            }
        });
    }

    #[test]
    fn whoever_is_missing_is_named() {
        let (socket, port) = socket();
        let mut holders = vec![Holder::First, Holder::Socket(socket)];
        let since = Instant::now();
        thread::scope(|scope| {
            let joining = [0, 2].map(|rank| {
                let holder = holders.pop().unwrap();
                scope.spawn(move || World::join(meeting(rank, 4, port, holder)).map(drop).unwrap_err())
            });
            for said in joining.map(|thread| thread.join().unwrap()) {
                assert!(said.starts_with("ranks 1, 3 of 4 are missing"), "{said}");
            }
        });
        // Nobody listens there any longer.
        let said = World::join(meeting(1, 2, port, Holder::First)).map(drop).unwrap_err();
        assert!(said.starts_with("rank 0 of 2 is missing: nobody answers at 127.0.0.1"), "{said}");
        assert!(since.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_port_that_is_taken_is_told() {
        let (_socket, port) = socket();
        let said = World::join(meeting(0, 2, port, Holder::First)).map(drop).unwrap_err();
        assert!(said.starts_with(&format!("cannot listen at 127.0.0.1:{port}")), "{said}");
    }

    #[test]
    fn without_nccl_a_gpu_is_an_error_that_says_so() {
        if let Err(said) = Nccl::load().map(drop) {
            assert!(said.contains("NCCL") && said.contains("make libtorch CUDA=1"), "{said}");
        }
    }
}
