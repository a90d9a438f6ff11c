//! Compiles the shim over c10d against the headers of the libtorch that torch-sys links. Elsewhere than on Linux there
//! is none, and a training has one process.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=c10d");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    println!("cargo:rustc-check-cfg=cfg(c10d)");
    // Where torch-sys looks, in its order.
    let place = |name: &str| env::var_os(name).map(PathBuf::from);
    let libtorch = place("LIBTORCH_INCLUDE").or_else(|| place("LIBTORCH")).unwrap_or_else(|| PathBuf::from("/usr"));
    let include = libtorch.join("include");
    let is_there = include.join("torch/csrc/distributed/c10d/ProcessGroupGloo.hpp").is_file();
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") || !is_there {
        println!("cargo:warning=no headers of c10d below {}: trainings have one process", include.display());
        return;
    }
    println!("cargo:rustc-cfg=c10d");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").pic(true).warnings(false).file("c10d/shim.cpp").include("c10d");
    build.include(&include).include(include.join("torch/csrc/api/include"));
    build.define("_GLIBCXX_USE_CXX11_ABI", abi.as_str()).compile("camflow_collective");
    if let Ok(libtorch) = env::var("LIBTORCH") {
        // The crate's own tests find libtorch as programs do.
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/cuda/torch/lib:{libtorch}/lib");
    }
}
