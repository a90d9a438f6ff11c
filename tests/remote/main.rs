//! `camflow-remote` on real stores, and on real servers where they are installed.
//!
//! ```text
//! lab       stores with artifacts, a remote, and the program run on them
//! exchange  what is pushed and pulled, and what is not sent again
//! damage    flipped bits, cut and lost files, on the way and at rest
//! kills     kills at every place and at random; several at once
//! refusals  what a user did wrong: one message, and its exit code
//! proxy     a connection that is cut, or flips a bit
//! servers   the same against s3s-fs and `rclone serve s3`
//! ```

mod damage;
mod exchange;
mod kills;
mod lab;
mod proxy;
mod refusals;
mod servers;
