//! From the manifest's `device` to libtorch's. One build serves CPU and CUDA: the CUDA back end is loaded when it is
//! asked for, and asking for it in vain is an error, never a silent run on the CPU.

use artifact::{Error, Numerics, Result};
use tch::Device;

use crate::foreign;

/// The device of `cpu`, `cuda` or `cuda:N`, as the manifest names it, made ready to compute in these numbers.
pub fn open(name: &str, numerics: Numerics) -> Result<Device> {
    open_for(name, numerics, "pipeline.device")
}

/// The same where `asked` is what names it, for messages.
pub fn open_for(name: &str, numerics: Numerics, asked: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index = match name.split_once(':') {
        None if name == "cuda" => Some(0),
        Some(("cuda", index)) => index.parse::<usize>().ok(),
        _ => None,
    };
    let index =
        index.ok_or_else(|| Error::Config(format!("{asked}: '{name}' is no device; use cpu, cuda or cuda:N")))?;
    load_cuda(asked, numerics)?;
    // Only now may libtorch be asked about CUDA: it caches the answer of the first question.
    let count = tch::Cuda::device_count().max(0) as usize;
    if index >= count {
        return Err(Error::Config(format!(
            "{asked}: '{name}' is not there: libtorch's CUDA back end is loaded and finds {count} devices"
        )));
    }
    Ok(Device::Cuda(index))
}

/// Is the device there? For a stage's `TENSORS`.
pub fn check(name: &str) -> Result<()> {
    open(name, Numerics::default()).map(drop)
}

#[cfg(target_os = "linux")]
fn load_cuda(asked: &str, numerics: Numerics) -> Result<()> {
    foreign::load_cuda().map_err(|reason| {
        Error::Config(format!(
            "{asked}: CUDA is asked for, but libtorch's CUDA back end does not load ({reason}); \
             `make libtorch CUDA=1` fetches it, or LD_LIBRARY_PATH may lead to a full libtorch 2.11.0"
        ))
    })?;
    if foreign::set_tf32(numerics) {
        return Ok(());
    }
    Err(Error::Config(format!("{asked}: this libtorch does not let TF32 be chosen; take libtorch 2.11.0")))
}

#[cfg(not(target_os = "linux"))]
fn load_cuda(asked: &str, _numerics: Numerics) -> Result<()> {
    Err(Error::Config(format!("{asked}: CUDA is supported on Linux only; use cpu")))
}
