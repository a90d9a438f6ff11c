//! Python with the packages of `requirements.txt`, which `make peers` puts into `.peers`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|dir| dir.join("tests/peers").is_dir()).unwrap().to_owned()
}

/// Runs a script of this directory, which finds `.peers` and the directories `beside`, below the project or absolute;
/// `input` is its standard input. Returns its standard output.
pub fn python(script: &str, beside: &[&str], input: &str) -> String {
    let peers = root().join(".peers");
    assert!(peers.is_dir(), "{} is not there; run `make peers`", peers.display());
    run(script, &std::iter::once(".peers").chain(beside.iter().copied()).collect::<Vec<_>>(), input)
}

/// The same with the packages that Python has of its own, without `.peers`.
pub fn own_python(script: &str, beside: &[&str], input: &str) -> String {
    run(script, beside, input)
}

fn run(script: &str, path: &[&str], input: &str) -> String {
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let path = std::env::join_paths(path.iter().map(|dir| root().join(dir))).unwrap();
    let mut child = Command::new(python)
        .args(["-B", "-W", "ignore"])
        .arg(root().join("tests/peers").join(script))
        .env("PYTHONPATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
