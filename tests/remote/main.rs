//! `camflow-remote` on real stores, and on real servers where they are installed.
//!
//! ```text
//! lab       stores with artifacts, a remote, and the program run on them
//! ended     what a command ended with
//! exchange  what is pushed and pulled, and what is not sent again
//! damage    flipped bits, cut and lost files, on the way and at rest
//! kills     kills at every place and at random; several at once
//! refusals  what a user did wrong: one message, and its exit code
//! peers     Polars, which reads what lies there
//! proxy     a connection that is cut, or flips a bit
//! servers   the same against s3s-fs and `rclone serve s3`
//! ```

mod damage;
#[path = "../ended.rs"]
mod ended;
mod exchange;
mod kills;
mod lab;
#[path = "../peers/mod.rs"]
#[expect(dead_code, reason = "other tests run programs without `.peers`")]
mod peers;
mod proxy;
mod refusals;
mod servers;
