//! c10d through the C functions of `c10d/shim.cpp`: a store of keys and values, a group of processes, and a
//! normalisation that gradients flow through.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::time::Duration;

use tch::Tensor;

use super::{Address, Moments, Network, Server, Summing};

/// Sums a tensor over all processes, in place; `context` is who sums.
type Sum = extern "C" fn(context: *mut c_void, tensor: *mut c_void);

#[expect(unsafe_code, reason = "the functions of c10d/shim.cpp")]
unsafe extern "C" {
    fn collective_forget(text: *mut c_char);
    fn collective_store_open(
        host: *const c_char,
        port: u16,
        prefix: *const c_char,
        serve: bool,
        listener: c_int,
        wait_ms: i64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    fn collective_store_close(store: *mut c_void);
    fn collective_store_set(store: *mut c_void, key: *const c_char, value: *const c_char) -> *mut c_char;
    fn collective_store_get(store: *mut c_void, key: *const c_char, out: *mut *mut c_char) -> *mut c_char;
    fn collective_group_open(
        store: *mut c_void,
        rank: c_int,
        size: c_int,
        host: *const c_char,
        interface: *const c_char,
        wait_ms: i64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    fn collective_group_close(group: *mut c_void);
    fn collective_group_sum(group: *mut c_void, tensor: *mut c_void) -> *mut c_char;
    fn collective_norm_of_part(
        tensors: *const *const c_void,
        count: f64,
        eps: f64,
        sum: Sum,
        context: *mut c_void,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    fn collective_leave(code: c_int);
}

/// Text that C takes: what stands before a zero byte, if it has one.
fn text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// Takes over text that the shim made.
fn taken(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the shim gives text that ends with a zero byte and that is freed once, here.
    #[expect(unsafe_code, reason = "text made by C")]
    unsafe {
        let owned = CStr::from_ptr(text).to_string_lossy().into_owned();
        collective_forget(text);
        Some(owned)
    }
}

/// What a function of the shim returned as a result.
fn told(error: *mut c_char) -> Result<(), String> {
    taken(error).map_or(Ok(()), Err)
}

/// A client of a store of keys and values; one of the processes holds it.
#[derive(Debug)]
pub struct Store(*mut c_void);

// SAFETY: TCPStore takes a lock for every operation.
#[expect(unsafe_code, reason = "the store is a pointer to C++")]
unsafe impl Send for Store {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the store is a pointer to C++")]
unsafe impl Sync for Store {}

impl Store {
    /// Connects, for at most `wait`.
    pub fn open(address: &Address<'_>, server: Server, wait: Duration) -> Result<Self, String> {
        let (host, prefix) = (text(address.host), text(address.prefix));
        let (serve, listener) = match server {
            Server::Elsewhere => (false, -1),
            Server::Here => (true, -1),
            Server::On(socket) => (true, socket),
        };
        let (mut store, wait) = (null_mut(), wait.as_millis() as i64);
        // SAFETY: the texts outlive the call; `store` is written before success is returned.
        #[expect(unsafe_code, reason = "a function of the shim")]
        told(unsafe {
            collective_store_open(host.as_ptr(), address.port, prefix.as_ptr(), serve, listener, wait, &raw mut store)
        })?;
        Ok(Self(store))
    }

    /// Puts a value under a key.
    pub fn set(&self, key: &str, value: &str) -> Result<(), String> {
        let (key, value) = (text(key), text(value));
        // SAFETY: the store is open for as long as `self` is; the texts outlive the call.
        #[expect(unsafe_code, reason = "a function of the shim")]
        told(unsafe { collective_store_set(self.0, key.as_ptr(), value.as_ptr()) })
    }

    /// The value under a key, if there is one yet.
    pub fn get(&self, key: &str) -> Result<Option<String>, String> {
        let (key, mut value) = (text(key), null_mut());
        // SAFETY: as in `set`; `value` is written before success is returned, and taken over once.
        #[expect(unsafe_code, reason = "a function of the shim")]
        told(unsafe { collective_store_get(self.0, key.as_ptr(), &raw mut value) })?;
        Ok(taken(value))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: it was opened once, and is closed once, here.
        #[expect(unsafe_code, reason = "a function of the shim")]
        unsafe {
            collective_store_close(self.0);
        }
    }
}

/// A group of processes that sum tensors of the CPU by Gloo.
#[derive(Debug)]
pub struct Gloo(*mut c_void);

// SAFETY: a group belongs to no thread.
#[expect(unsafe_code, reason = "the group is a pointer to C++")]
unsafe impl Send for Gloo {}

impl Gloo {
    /// Joins the group in which this process is `rank` of `size`. No sum may take longer than `wait`.
    pub fn open(store: &Store, [rank, size]: [usize; 2], network: Network<'_>, wait: Duration) -> Result<Self, String> {
        let (mut group, wait) = (null_mut(), wait.as_millis() as i64);
        let named = match network {
            Network::Host(name) | Network::Interface(name) => text(name),
            Network::Hostname => CString::default(),
        };
        let (host, interface) = match network {
            Network::Host(_) => (named.as_ptr(), null()),
            Network::Interface(_) => (null(), named.as_ptr()),
            Network::Hostname => (null(), null()),
        };
        let (rank, size) = (rank as c_int, size as c_int);
        // SAFETY: the store is open, the text outlives the call, `group` is written before success is returned.
        #[expect(unsafe_code, reason = "a function of the shim")]
        told(unsafe { collective_group_open(store.0, rank, size, host, interface, wait, &raw mut group) })?;
        Ok(Self(group))
    }

    /// Sums a contiguous tensor of the CPU over all processes, in place.
    pub fn sum(&self, tensor: &mut Tensor) -> Result<(), String> {
        // SAFETY: the group is open, and the tensor's pointer is to an `at::Tensor` for as long as it is borrowed.
        #[expect(unsafe_code, reason = "a function of the shim")]
        told(unsafe { collective_group_sum(self.0, tensor.as_mut_ptr().cast()) })
    }
}

impl Drop for Gloo {
    fn drop(&mut self) {
        // SAFETY: it was opened once, and is closed once, here.
        #[expect(unsafe_code, reason = "a function of the shim")]
        unsafe {
            collective_group_close(self.0);
        }
    }
}

/// Normalises a part of a batch; see [`super::World::normalise`].
pub fn normalise<S: Summing>(x: &Tensor, by: &Moments<'_>, among: &'static S) -> Result<Tensor, String> {
    extern "C" fn sum<S: Summing>(context: *mut c_void, tensor: *mut c_void) {
        // SAFETY: `context` is the `&'static S` below, `tensor` an `at::Tensor` for the time of this call.
        #[expect(unsafe_code, reason = "called by the shim")]
        let (among, mut tensor) = unsafe { (&*context.cast::<S>(), Tensor::clone_from_ptr(tensor.cast())) };
        among.sum(&mut tensor);
    }
    let Moments { mean, variance, count, weight, bias, eps } = by;
    let tensors = [x, weight, bias, mean, variance].map(|tensor| tensor.as_ptr().cast());
    let (mut out, context) = (null_mut(), std::ptr::from_ref(among).cast_mut().cast());
    // SAFETY: the pointers are to five `at::Tensor` while they are borrowed; `out` becomes one that is owned here.
    #[expect(unsafe_code, reason = "a function of the shim")]
    unsafe {
        told(collective_norm_of_part(tensors.as_ptr(), *count, *eps, sum::<S>, context, &raw mut out))?;
        Ok(Tensor::from_ptr(out.cast()))
    }
}

/// Ends the process at once, whatever its other threads wait for.
pub fn leave(code: u8) -> ! {
    // SAFETY: it is the system's own call.
    #[expect(unsafe_code, reason = "a function of the shim")]
    unsafe {
        collective_leave(code.into());
    }
    unreachable!("the process has ended")
}
