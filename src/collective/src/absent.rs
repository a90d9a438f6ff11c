//! What stands in for c10d where there is none: nobody joins. Stand-ins of the same names as in `native`.

use std::time::Duration;

use tch::Tensor;

use super::{Address, Moments, Network, Server, Summing};

const ABSENT: &str = "this build has no c10d: a training of several processes needs Linux and a libtorch with its \
                      headers; set processes = 1";

/// There is none.
#[derive(Debug)]
pub enum Store {}

impl Store {
    /// Fails.
    pub fn open(_address: &Address<'_>, _server: Server, _wait: Duration) -> Result<Self, String> {
        Err(ABSENT.to_owned())
    }

    /// Nobody calls it.
    pub fn set(&self, _key: &str, _value: &str) -> Result<(), String> {
        match *self {}
    }

    /// Nobody calls it.
    pub fn get(&self, _key: &str) -> Result<Option<String>, String> {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub enum Gloo {}

impl Gloo {
    /// Nobody calls it.
    pub fn open(store: &Store, _rank: [usize; 2], _network: Network<'_>, _wait: Duration) -> Result<Self, String> {
        match *store {}
    }

    /// Nobody calls it.
    pub fn sum(&self, _tensor: &mut Tensor) -> Result<(), String> {
        match *self {}
    }
}

/// Fails.
pub fn normalise<S: Summing>(_x: &Tensor, _by: &Moments<'_>, _among: &'static S) -> Result<Tensor, String> {
    Err(ABSENT.to_owned())
}

/// Ends the process.
pub fn leave(code: u8) -> ! {
    std::process::exit(code.into())
}
