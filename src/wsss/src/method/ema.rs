//! `SupportNet` follows `MainNet` by an exponential moving average (section 3.1).

use tch::nn::VarStore;

/// The last words of the names of buffers.
const BUFFERS: [&str; 2] = ["running_mean", "running_var"];

/// `theta_G <- alpha theta_G + (1 - alpha) theta_F` over parameters; buffers are copied.
///
/// `main` holds every name of `support`, and those of terms that learn something themselves besides; a name of
/// `support` that `main` lacks is a bug and panics.
pub fn update(support: &VarStore, main: &VarStore, alpha: f64) {
    let main = main.variables();
    tch::no_grad(|| {
        for (name, mut follower) in support.variables() {
            let leader = &main[&name];
            if BUFFERS.iter().any(|buffer| name.ends_with(buffer)) {
                follower.copy_(leader);
            } else {
                let _ = follower.lerp_(leader, 1.0 - alpha);
            }
        }
    });
}
