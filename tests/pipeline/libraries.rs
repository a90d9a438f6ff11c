//! What programs link. Stages without tensors start in a moment because they load no libtorch.

use std::path::Path;

/// Does the program name libtorch among the libraries that it needs?
fn needs_libtorch(program: &str) -> bool {
    let path = Path::new(env!("CARGO_BIN_EXE_evaluate")).with_file_name(program);
    let bytes = std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let name = b"libtorch_cpu.so";
    bytes.windows(name.len()).any(|bytes| bytes == name)
}

#[test]
fn only_stages_with_tensors_link_libtorch() {
    for program in ["prepare-data", "threshold-sweep"] {
        assert!(!needs_libtorch(program), "{program} computes without tensors, but names libtorch");
    }
    for program in ["train-cam", "extract-msinf-cam", "random-walk"] {
        assert!(needs_libtorch(program), "{program} computes with tensors");
    }
}
