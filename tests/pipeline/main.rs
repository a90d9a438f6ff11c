//! The real stage binaries on a dozen images: the whole pipeline, stages by hand, interruption, and bad input; also
//! `camflow-weights`.

mod by_hand;
mod changed;
#[path = "../slurm/cluster.rs"]
#[expect(dead_code, reason = "the tests of `camflow run --executor slurm` use more of it")]
mod cluster;
#[path = "../crash/mod.rs"]
mod crash;
mod crash_stages;
mod damage;
mod export;
mod exported_networks;
mod finetune;
mod help;
mod init;
mod labels;
mod libraries;
mod made_up;
mod masks;
mod memory;
#[path = "../peers/mod.rs"]
mod peers;
mod predict;
mod processes;
mod readme;
mod resume;
mod shop;
mod show;
mod variants;
mod weights;
mod whole;
mod world;
