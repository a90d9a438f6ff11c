//! Who gives tensors their memory; one that finds none is an error that says for what, and no panic. Reads and writes
//! nothing.
//!
//! Every program that is linked with this crate, libtorch included, has jemalloc for its memory: a training step frees
//! and asks for gigabytes in tensors of a few sizes. The C library would give each back to the system, which clears
//! every page anew, or, told to keep what is freed, leave holes. `.cargo/config.toml` says what jemalloc keeps.
//!
//! The operations of tch panic with libtorch's message, also where memory ends, on the CPU and on CUDA alike. Whoever
//! knows the picture or the batch runs them by [`within`] and tells it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;

use artifact::Error;

// Nothing calls it: its `malloc` and `free` stand in the place of the C library's.
use tikv_jemalloc_sys as _;

/// What libtorch, cuBLAS, cuDNN and the C++ library say when memory ends.
const EXHAUSTED: [&str; 8] = [
    "can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "could not create a memory",
    "bad_alloc",
];

/// A tensor found no memory.
#[derive(Debug)]
pub struct Exhausted {
    /// libtorch's message.
    message: String,
}

thread_local! {
    /// Is this thread inside [`within`], which tells what happens?
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, of which the end of memory is an error. Any other panic stays one.
pub fn within<T>(work: impl FnOnce() -> T) -> Result<T, Exhausted> {
    silence();
    let before = WATCHED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    WATCHED.set(before);
    result.map_err(|payload| match exhausted(payload.as_ref()) {
        Some(message) => Exhausted { message: message.to_owned() },
        None => resume_unwind(payload),
    })
}

/// Keeps the message of a panic that becomes an error off the terminal.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !WATCHED.get() || exhausted(panic.payload()).is_none() {
                before(panic);
            }
        }));
    });
}

/// The message of a panic for want of memory.
fn exhausted(payload: &(dyn Any + Send)) -> Option<&str> {
    let message = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied())?;
    EXHAUSTED.iter().any(|sign| message.contains(sign)).then_some(message)
}

impl Exhausted {
    /// Goes on as the panic that it was, on another thread.
    pub(crate) fn resume(self) -> ! {
        resume_unwind(Box::new(self.message))
    }

    /// While the picture `name` of a height and width was looked at in the size `seen`, at `scale`.
    pub fn at_picture(&self, name: &str, [height, width]: [usize; 2], scale: f64, seen: [i64; 2]) -> Error {
        let [h, w] = seen;
        Error::Failed(format!(
            "picture '{name}' ({width} x {height} pixels) at scale {scale} ({w} x {h}): {}; lower max_pixels or \
             the scales, or run fewer stages side by side",
            self.want()
        ))
    }

    /// While a network learnt from `batch` crops of `crop` pixels a side.
    pub fn at_batch(&self, step: u64, batch: usize, crop: usize) -> Error {
        Error::Failed(format!(
            "step {step}, a batch of {batch} crops of {crop} x {crop} pixels: {}; lower loop.batch_size or \
             augmentation.crop, or run fewer stages side by side",
            self.want()
        ))
    }

    /// `no memory for a tensor of 1.5 GB`.
    fn want(&self) -> String {
        let asked = self.message.split_once("ried to allocate ").map_or("", |(_, rest)| rest);
        let mut words = asked.split([' ', '\n']);
        let number = words.next().and_then(|number| number.parse::<f64>().ok());
        let unit = words.next().unwrap_or_default().trim_end_matches('.');
        match (number, unit) {
            (Some(bytes), "bytes") => format!("no memory for a tensor of {:.1} MB", bytes / 1e6),
            (Some(number), unit) => format!("no memory for a tensor of {number} {unit}"),
            (None, _) => "no memory".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    /// More than any address space holds.
    fn endless() -> Tensor {
        Tensor::empty([1 << 50], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn the_end_of_memory_is_an_error_that_says_for_what() {
        let exhausted = within(endless).unwrap_err();
        assert_eq!(
            exhausted.at_batch(3, 16, 128).to_string(),
            "step 3, a batch of 16 crops of 128 x 128 pixels: no memory for a tensor of 4503599627.4 MB; lower \
             loop.batch_size or augmentation.crop, or run fewer stages side by side"
        );
        // A second time, and a thread that handed the panic on.
        let again = within(|| match within(endless) {
            Ok(tensor) => tensor,
            Err(exhausted) => exhausted.resume(),
        });
        assert!(again.is_err());
        let cuda = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB";
        let cuda = within(|| -> () { panic!("called `Result::unwrap()` on an `Err` value: Torch(\"{cuda}\")") });
        assert_eq!(cuda.unwrap_err().want(), "no memory for a tensor of 2 GiB");
    }

    #[test]
    #[should_panic(expected = "another thing")]
    fn any_other_panic_stays_one() {
        let _ = within(|| panic!("another thing"));
    }
}
