//! Programs and test binaries find libtorch where torch-sys linked it from. The package `stages` is built with this
//! script too.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        // A full CUDA tree (`make libtorch CUDA=1`) comes first: its libtorch_cpu.so finds its own neighbours.
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/cuda/torch/lib:{libtorch}/lib");
    }
}
