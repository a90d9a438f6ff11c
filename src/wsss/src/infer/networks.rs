//! A network at work on many images at once.

use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

use stage::cores;
use tch::{Device, Tensor};

use crate::memory::{self, Exhausted};

/// What a network makes of an image, for any number of workers. Results do not depend on how it is done.
///
/// On the CPU each of [`cores`] workers has a network of its own with one thread: on small feature maps the threads of
/// one convolution spend their time waiting for each other. On a CUDA device a single network on a thread of its own
/// serves all: libtorch caches cuDNN's plans by thread, and photographs come in many sizes.
pub struct Networks<N, F> {
    device: Device,
    service: Service<N, F>,
}

enum Service<N, F> {
    /// One network a worker.
    Own { networks: Vec<Mutex<N>>, forward: F },
    /// One network for all.
    Shared(Sender<Request>),
}

/// An image, and where what the network makes of it goes.
type Request = (Tensor, SyncSender<Result<Tensor, Exhausted>>);

impl<N, F> Networks<N, F>
where
    N: Send + 'static,
    F: Fn(&N, &Tensor) -> Tensor + Send + 'static,
{
    /// Makes them. `forward` gives the network's tensor of an image's, both on `device`.
    pub fn new(device: Device, network: impl Fn() -> artifact::Result<N>, forward: F) -> artifact::Result<Self> {
        let service = if device.is_cuda() {
            Service::shared(network()?, forward)
        } else {
            tch::set_num_threads(1);
            let networks = (0..cores()).map(|_| network().map(Mutex::new)).collect::<artifact::Result<_>>()?;
            Service::Own { networks, forward }
        };
        Ok(Self { device, service })
    }

    /// What the network makes of `image` for one of [`cores`] workers, without gradient, on the device. Where memory
    /// ends it panics on the thread of the worker, for [`memory::within`].
    pub fn forward(&self, worker: usize, image: &Tensor) -> Tensor {
        self.service.forward(worker, image.to_device(self.device))
    }
}

impl<N, F> Service<N, F>
where
    N: Send + 'static,
    F: Fn(&N, &Tensor) -> Tensor + Send + 'static,
{
    fn shared(network: N, forward: F) -> Self {
        let (send, receive) = channel::<Request>();
        // It ends when the last sender is gone.
        std::thread::spawn(move || {
            for (image, reply) in receive {
                // A worker that waits no longer has panicked, and says so itself.
                let _ = reply.send(memory::within(|| tch::no_grad(|| forward(&network, &image))));
            }
        });
        Self::Shared(send)
    }

    fn forward(&self, worker: usize, image: Tensor) -> Tensor {
        match self {
            Self::Own { networks, forward } => {
                let network = networks[worker % networks.len()].lock().unwrap_or_else(PoisonError::into_inner);
                tch::no_grad(|| forward(&network, &image))
            }
            Self::Shared(send) => {
                let (reply, made) = sync_channel(1);
                send.send((image, reply)).expect("the network's thread panicked");
                let made = made.recv().expect("the network's thread panicked");
                made.unwrap_or_else(|exhausted| exhausted.resume())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_network_serves_every_worker_with_its_own_result() {
        let network = Tensor::from_slice(&[2_i64]);
        let service = Service::shared(network, |network: &Tensor, image: &Tensor| network * image);
        std::thread::scope(|scope| {
            for worker in 0_i64..8 {
                let service = &service;
                scope.spawn(move || {
                    for image in 0..50 {
                        let value = worker * 100 + image;
                        let made = service.forward(worker as usize, Tensor::from_slice(&[value]));
                        assert_eq!(made.int64_value(&[0]), 2 * value);
                    }
                });
            }
        });
    }

    #[test]
    fn the_end_of_memory_reaches_the_worker_and_ends_no_thread() {
        let forward = |(): &(), image: &Tensor| Tensor::empty([image.int64_value(&[0])], tch::kind::FLOAT_CPU);
        let service = Service::shared((), forward);
        let look = |size: i64| memory::within(|| service.forward(0, Tensor::from_slice(&[size])));
        assert!(look(1 << 50).is_err());
        assert_eq!(look(3).unwrap().size(), [3]);
    }

    #[test]
    #[should_panic(expected = "the network's thread panicked")]
    fn a_panic_in_the_network_is_not_waited_for() {
        let service = Service::shared((), |(): &(), _: &Tensor| panic!("out of memory"));
        let _ = service.forward(0, Tensor::from_slice(&[1.0]));
    }
}
