//! Where reference vectors lie.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Where `file` lies: in the folder that `CAMFLOW_GOLDEN` names, relative to the repository's root, or in
/// `tests/golden`. A set made elsewhere may hold some of the files only: for the others `tests/golden` stands in, and
/// standard error says so.
pub fn find(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let committed = root.join("tests/golden").join(file);
    let Some(folder) = std::env::var_os("CAMFLOW_GOLDEN") else { return committed };
    let folder = root.join(folder);
    assert!(folder.is_dir(), "CAMFLOW_GOLDEN: {} is no folder", folder.display());
    let path = folder.join(file);
    if path.exists() {
        return path;
    }
    assert!(committed.exists(), "{file} is neither in {} (CAMFLOW_GOLDEN) nor in tests/golden", folder.display());
    // Not `eprintln`, which the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "golden: {} lacks {file}; tests/golden stands in", folder.display());
    committed
}
