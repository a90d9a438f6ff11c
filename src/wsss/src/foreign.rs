//! The two settings of libtorch that no crate offers: which back end it has, and in which numbers it multiplies on
//! CUDA. Its `unsafe` is the only one of `wsss`.

use artifact::Numerics;

/// Loads libtorch's CUDA back end, or says why it does not load.
#[cfg(target_os = "linux")]
pub fn load_cuda() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the initialisers of libtorch_cuda register its kernels and touch nothing of this program.
    #[expect(unsafe_code, reason = "loading a library runs its initialisers")]
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    let library = library
        .map_err(|error| std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))?;
    std::mem::forget(library);
    Ok(())
}

/// Lets cuBLAS and cuDNN multiply the upper 19 bits of 32-bit floats, or forbids it: libtorch alone would let cuDNN and
/// forbid cuBLAS. Says whether libtorch took it.
#[cfg(target_os = "linux")]
pub fn set_tf32(numerics: Numerics) -> bool {
    use libloading::os::unix::Library;
    use std::ffi::c_void;
    type Context = unsafe extern "C" fn() -> *mut c_void;
    type Set = unsafe extern "C" fn(*mut c_void, bool);
    const SETTERS: [&str; 2] = ["_ZN2at7Context18setAllowTF32CuBLASEb", "_ZN2at7Context17setAllowTF32CuDNNEb"];
    let allowed = numerics == Numerics::Tf32;
    let this = Library::this();
    // SAFETY: these are at::globalContext() and two of its setters, each of one bool, as libtorch 2.11 declares them;
    // the context lives as long as the program.
    #[expect(unsafe_code, reason = "tch has no function for this setting")]
    unsafe {
        let Ok(context) = this.get::<Context>(b"_ZN2at13globalContextEv\0") else { return false };
        let context = context();
        SETTERS.iter().all(|name| {
            this.get::<Set>(name.as_bytes()).is_ok_and(|set| {
                set(context, allowed);
                true
            })
        })
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use libloading::os::unix::Library;
    use std::ffi::c_void;

    /// What libtorch's context says of cuBLAS.
    fn cublas_may() -> bool {
        let this = Library::this();
        // SAFETY: as in `set_tf32`; the getter takes the context and returns a bool.
        #[expect(unsafe_code, reason = "tch has no function for this setting")]
        unsafe {
            let context = this.get::<unsafe extern "C" fn() -> *mut c_void>(b"_ZN2at13globalContextEv\0").unwrap()();
            let get = this.get::<unsafe extern "C" fn(*mut c_void) -> bool>(b"_ZNK2at7Context15allowTF32CuBLASEv\0");
            get.unwrap()(context)
        }
    }

    #[test]
    fn libtorch_takes_the_setting() {
        for numerics in [Numerics::Tf32, Numerics::Bf16, Numerics::Tf32, Numerics::F32] {
            assert!(set_tf32(numerics));
            assert_eq!(cublas_may(), numerics == Numerics::Tf32);
        }
    }
}
