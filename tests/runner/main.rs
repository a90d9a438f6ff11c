//! Whole runs of the `camflow` binary on fake stages that keep the real contract.
//!
//! ```text
//! world          a directory with a manifest, a store and fake stages; snapshots of what a command prints
//! ended          what a command ended with
//! staleness      what runs again, and what does not
//! selection      --from, --until, --only, --force, --experiment; wrong command lines and manifests
//! matrix         experiments that need one another, variants and seeds
//! units          plan --units, for another engine
//! peers          Python with packages that tests compare with
//! answers        explain, plan, status, path, dag, metrics, logs, and other programs
//! logs           logs -f
//! terminal       a command on a terminal, and what one sees there
//! live           the table of a run that goes on
//! watch          the same of a run elsewhere
//! by_hand        a stage started by a person
//! shell          completions, manual pages, tables
//! hand_over      camflow becomes camflow-report and camflow-weights
//! diff           two artifacts beside one another
//! accept         "the same result" under a new version of a stage
//! pull           what a remote holds is fetched instead of computed
//! verify         damage is found and set aside
//! gc             what is needed stays, the rest goes; pins
//! failure        damage, failing stages, signals, kills, edits during a run
//! together       several at once: stages, shards, runners, machines
//! disk           a full disk and a read-only one
//! elsewhere      a store partly on another disk, and paths with a home or a variable
//! crash          kills at any instant, for any pipeline
//! crash_stages   the same on fake stages, and at every step of publication
//! scale          what a question reads of a large store
//! ```

mod accept;
mod answers;
mod by_hand;
#[path = "../crash/mod.rs"]
mod crash;
mod crash_stages;
mod diff;
mod disk;
mod elsewhere;
#[path = "../ended.rs"]
mod ended;
mod failure;
mod gc;
mod hand_over;
mod live;
mod logs;
mod matrix;
#[path = "../peers/mod.rs"]
#[expect(dead_code, reason = "other tests run programs without `.peers`")]
mod peers;
mod pull;
mod scale;
mod selection;
mod shell;
mod staleness;
mod terminal;
mod together;
mod units;
mod verify;
mod watch;
mod world;
