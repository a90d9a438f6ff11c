//! Sums over GPUs by NCCL, whose library is opened when the first tensor of a GPU is to be summed: the part of its C
//! interface that takes.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use tch::{Device, Kind, Tensor};

/// `ncclUniqueId`: what rank 0 makes up and all others are told.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UniqueId([c_char; 128]);

type GetUniqueId = unsafe extern "C" fn(*mut UniqueId) -> c_int;
type CommInitRank = unsafe extern "C" fn(*mut *mut c_void, c_int, UniqueId, c_int) -> c_int;
type AllReduce =
    unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, *mut c_void, *mut c_void) -> c_int;
type CommAbort = unsafe extern "C" fn(*mut c_void) -> c_int;
type GetErrorString = unsafe extern "C" fn(c_int) -> *const c_char;
type SetDevice = unsafe extern "C" fn(c_int) -> c_int;

/// `ncclSum`.
const SUM: c_int = 0;

/// NCCL's functions.
pub struct Nccl {
    get_unique_id: Symbol<GetUniqueId>,
    comm_init_rank: Symbol<CommInitRank>,
    all_reduce: Symbol<AllReduce>,
    comm_abort: Symbol<CommAbort>,
    get_error_string: Symbol<GetErrorString>,
    /// Of CUDA's runtime: a communicator is of the device that is the current one.
    set_device: Symbol<SetDevice>,
}

impl Nccl {
    /// Opens the library: the one that libtorch's CUDA back end has loaded, or the system's.
    pub fn load() -> Result<Self, String> {
        let missing = |error: libloading::Error| {
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!(
                "several processes on GPUs need NCCL, which does not load ({reason}); `make libtorch CUDA=1` fetches \
                 it, or LD_LIBRARY_PATH may lead to libnccl.so.2"
            )
        };
        // SAFETY: NCCL's initialisers touch nothing of this program; the types are those of nccl.h (2.x) and of
        // cuda_runtime_api.h. Both libraries stay loaded for as long as the program runs.
        #[expect(unsafe_code, reason = "functions of a library that is opened at run time")]
        unsafe {
            let nccl = Library::open(Some("libnccl.so.2"), RTLD_NOW | RTLD_GLOBAL).map_err(missing)?;
            let cuda = Library::this();
            let loaded = Self {
                get_unique_id: nccl.get(b"ncclGetUniqueId\0").map_err(missing)?,
                comm_init_rank: nccl.get(b"ncclCommInitRank\0").map_err(missing)?,
                all_reduce: nccl.get(b"ncclAllReduce\0").map_err(missing)?,
                comm_abort: nccl.get(b"ncclCommAbort\0").map_err(missing)?,
                get_error_string: nccl.get(b"ncclGetErrorString\0").map_err(missing)?,
                set_device: cuda.get(b"cudaSetDevice\0").map_err(missing)?,
            };
            std::mem::forget(nccl);
            Ok(loaded)
        }
    }

    /// An id for a new communicator, as text.
    pub fn unique_id(&self) -> Result<String, String> {
        let mut id = UniqueId([0; 128]);
        // SAFETY: the id is written by the call.
        #[expect(unsafe_code, reason = "a function of NCCL")]
        self.told(unsafe { (self.get_unique_id)(&raw mut id) })?;
        Ok(id.0.map(|byte| format!("{:02x}", byte as u8)).concat())
    }

    /// Joins the communicator of an id, in which this process is `rank` of `size`, with a GPU.
    pub fn communicator(self, id: &str, [rank, size]: [usize; 2], device: usize) -> Result<Communicator, String> {
        let mut bytes = UniqueId([0; 128]);
        for (at, byte) in bytes.0.iter_mut().enumerate() {
            let digits = id.get(2 * at..2 * at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            *byte = digits.ok_or("rank 0 told no id of NCCL")? as c_char;
        }
        let mut communicator = null_mut();
        // SAFETY: `communicator` is written by the call; the current device is the thread's own.
        #[expect(unsafe_code, reason = "functions of CUDA and NCCL")]
        unsafe {
            if (self.set_device)(device as c_int) != 0 {
                return Err(format!("cuda:{device} is not there"));
            }
            self.told((self.comm_init_rank)(&raw mut communicator, size as c_int, bytes, rank as c_int))?;
        }
        Ok(Communicator { nccl: self, communicator })
    }

    fn told(&self, code: c_int) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: NCCL gives a constant text for every code.
        #[expect(unsafe_code, reason = "a function of NCCL")]
        let text = unsafe { CStr::from_ptr((self.get_error_string)(code)) };
        Err(format!("NCCL: {}", text.to_string_lossy()))
    }
}

/// The processes' GPUs.
pub struct Communicator {
    nccl: Nccl,
    communicator: *mut c_void,
}

// SAFETY: a communicator belongs to no thread; calls come one after another.
#[expect(unsafe_code, reason = "the communicator is a pointer to C")]
unsafe impl Send for Communicator {}

impl Communicator {
    /// Sums a contiguous tensor of this process's GPU over all processes, in place. It is queued behind what the
    /// device's default stream, on which libtorch computes, has to do.
    pub fn sum(&self, tensor: &mut Tensor) -> Result<(), String> {
        // The numbers of `ncclDataType_t`.
        let kind = match tensor.kind() {
            Kind::Int64 => 4,
            Kind::Float => 7,
            Kind::Double => 8,
            other => return Err(format!("a sum over processes of {other:?}")),
        };
        assert!(tensor.is_contiguous() && matches!(tensor.device(), Device::Cuda(_)), "a contiguous tensor of a GPU");
        let (place, count) = (tensor.data_ptr(), tensor.numel());
        // SAFETY: the memory is the tensor's, of `count` numbers of that kind, and libtorch gives it to no other before
        // the default stream has passed this sum.
        #[expect(unsafe_code, reason = "a function of NCCL")]
        let code = unsafe { (self.nccl.all_reduce)(place, place, count, kind, SUM, self.communicator, null_mut()) };
        self.nccl.told(code)
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        // A sum for which another process is missing would be waited for without end.
        // SAFETY: it was made once, and is ended once, here.
        #[expect(unsafe_code, reason = "a function of NCCL")]
        unsafe {
            (self.nccl.comm_abort)(self.communicator);
        }
    }
}
