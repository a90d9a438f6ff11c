//! The fuzzer finds libtorch, which `wsss` links, where torch-sys linked it from.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/cuda/torch/lib:{libtorch}/lib");
    }
}
