//! Coverage-guided fuzzing (libFuzzer) of every reader of foreign bytes; `make fuzz` runs one after the other.
//!
//! `CAMFLOW_FUZZ` names the reader. Before it starts, healthy files of that kind are written to the directory that
//! `CAMFLOW_FUZZ_SEEDS` names: libFuzzer begins with those, and keeps there what it finds. A finding is a panic, more
//! time or more memory than the options of `make fuzz` allow, or one of the assertions in `readers`.

#![no_main]

mod readers;
mod seeds;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use readers::Reader;

static READER: OnceLock<Reader> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("CAMFLOW_FUZZ").unwrap_or_default();
        if let Ok(directory) = std::env::var("CAMFLOW_FUZZ_SEEDS") {
            seeds::write(&name, directory.as_ref());
        }
        assert!(READER.set(Reader::named(&name)).is_ok(), "there is one reader");
    },
    |bytes: &[u8]| READER.get().expect("init comes first").read(bytes)
);
