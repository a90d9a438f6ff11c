//! The three settings of foreign libraries that no crate offers: which back end libtorch has, in which numbers it
//! multiplies on CUDA, and what becomes of memory that is freed. All `unsafe` of this workspace stands here.

use artifact::Numerics;

/// Keeps memory that is freed for the tensors that come next. A training step frees and asks for gigabytes in tensors
/// of the same sizes; glibc would give each back to the system, which clears every page anew.
///
/// For trainings alone. On photographs of any size what is small and stays, such as a map of affinities, would come to
/// lie where a large tensor was, the next large one find no room there, and memory grow by many times.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, -1), (libc::M_ARENA_MAX, 1)] {
        // SAFETY: mallopt sets a number of the allocator under its own lock.
        #[expect(unsafe_code, reason = "a setting of the C library")]
        let _ = unsafe { libc::mallopt(setting, value) };
    }
}

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
