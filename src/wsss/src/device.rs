//! From the manifest's `device` to libtorch's. One build serves CPU and CUDA: the CUDA back end is loaded when it is
//! asked for, and asking for it in vain is an error, never a silent run on the CPU.

use artifact::{Error, Result};
use tch::Device;

/// The device of `cpu`, `cuda` or `cuda:N`, as the manifest names it.
pub fn open(name: &str) -> Result<Device> {
    open_for(name, "pipeline.device")
}

/// The same where `asked` is what names it, for messages.
pub fn open_for(name: &str, asked: &str) -> Result<Device> {
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
    load_cuda(asked)?;
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
    open(name).map(drop)
}

#[cfg(target_os = "linux")]
fn load_cuda(asked: &str) -> Result<()> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the initialisers of libtorch_cuda register its kernels and touch nothing of this program.
    #[expect(unsafe_code, reason = "loading a library runs its initialisers")]
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    match library {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => {
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Err(Error::Config(format!(
                "{asked}: CUDA is asked for, but libtorch's CUDA back end does not load ({reason}); \
                 `make libtorch CUDA=1` fetches it, or LD_LIBRARY_PATH may lead to a full libtorch 2.11.0"
            )))
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn load_cuda(asked: &str) -> Result<()> {
    Err(Error::Config(format!("{asked}: CUDA is supported on Linux only; use cpu")))
}
