//! Real servers on loopback, s3s-fs and `rclone serve s3`: kills of both ends, cuts and flipped bits on the way and at
//! rest. `make remote-test` fetches the servers; without them these tests say so and do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Ended, Lab, Make, Random, end, files, flip};
use crate::peers::python;
use crate::proxy::{Fault, Proxy, Way, What};

/// How many rounds each server is put through.
const ROUNDS_VARIABLE: &str = "CAMFLOW_REMOTE_ROUNDS";
/// Directories with the programs of the servers, as in PATH.
const SERVERS_VARIABLE: &str = "CAMFLOW_S3_SERVERS";

const BUCKET: &str = "bucket";

/// A server that keeps objects as files below a directory.
struct Server {
    program: PathBuf,
    name: &'static str,
    root: PathBuf,
    port: u16,
    running: Child,
}

impl Server {
    /// `None` if its program is not installed.
    fn start(name: &'static str, root: &Path) -> Option<Self> {
        let Some(program) = find(name) else {
            println!("skipped: {name} is not installed; `make remote-test` fetches it");
            return None;
        };
        fs::create_dir_all(root.join(BUCKET)).expect("the bucket is made");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port is free").port();
        let running = begin(&program, name, root, port);
        Some(Self { program, name, root: root.to_owned(), port, running })
    }

    /// Kills it and starts it anew.
    fn restart(&mut self) {
        self.running.kill().expect("it is killed");
        let _ = self.running.wait();
        self.running = begin(&self.program, self.name, &self.root, self.port);
    }

    /// A command of the lab at this server, by way of a port.
    fn command(&self, lab: &Lab, port: u16, words: (&str, &str), prefix: &str, options: &[&str]) -> Command {
        let url = format!("s3://{BUCKET}/{prefix}");
        let mut words_too = vec!["--remote", &url];
        // rclone ignores conditions.
        if words.0 == "push" && self.name == "rclone" {
            words_too.push("--alone");
        }
        words_too.extend(options);
        let mut command = lab.command(words.0, words.1, &words_too);
        command.envs(environment(port));
        command
    }

    /// The same to its end, without a fault.
    fn run(&self, lab: &Lab, words: (&str, &str), prefix: &str, options: &[&str]) -> Ended {
        end(self.command(lab, self.port, words, prefix, options).spawn().expect("it starts"))
    }
}

/// The usual variables, which lead to a server on this machine.
fn environment(port: u16) -> BTreeMap<&'static str, String> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let rest = [
        ("AWS_ACCESS_KEY_ID", "access"),
        ("AWS_SECRET_ACCESS_KEY", "secretsecret"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    rest.map(|(name, value)| (name, value.to_owned())).into_iter().chain([("AWS_ENDPOINT_URL", endpoint)]).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let paths = [SERVERS_VARIABLE, "PATH"].map(|name| std::env::var_os(name).unwrap_or_default());
    let mut dirs = paths.iter().flat_map(std::env::split_paths);
    dirs.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()))
}

fn begin(program: &Path, name: &str, root: &Path, port: u16) -> Child {
    let mut command = Command::new(program);
    let address = format!("127.0.0.1:{port}");
    match name {
        "s3s-fs" => command.args(["--access-key", "access", "--secret-key", "secretsecret"]).args([
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ]),
        _ => command.args(["serve", "s3", "--addr", &address, "--config", ""]),
    };
    let running = command.arg(root).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let since = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "{name} does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    running.expect("the server starts")
}

/// What happens in a round to one command.
fn disturbed(lab: &Lab, server: &mut Server, proxy: &Proxy, words: (&str, &str), prefix: &str, random: &mut Random) {
    let way = if random.below(2) == 0 { Way::ToServer } else { Way::ToClient };
    let what = if random.below(2) == 0 { What::Cut } else { What::Flip };
    // Somewhere in what a push sends, or a pull is sent; the other way there are but answers.
    let bytes = if (words.0 == "push") == (way == Way::ToServer) { 1_600_000 } else { 20_000 };
    proxy.set(Some(Fault { way, at: random.below(bytes), what }));
    let mut running = server.command(lab, proxy.port, words, prefix, &[]).spawn().expect("it starts");
    match random.below(4) {
        0 => {
            thread::sleep(Duration::from_millis(random.below(150)));
            let _ = running.kill();
        }
        1 => {
            thread::sleep(Duration::from_millis(random.below(100)));
            server.restart();
        }
        _ => {}
    }
    let ended = end(running);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    proxy.set(None);
}

/// Disturbs pushes, pulls and what lies on the server; after each nothing wrong is believed, and in the end plain
/// commands complete.
fn rounds_with(name: &'static str) {
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(3, |rounds| rounds.parse().expect("a number of rounds"));
    let lab = Lab::filled(300_000);
    let Some(mut server) = Server::start(name, &lab.path("objects")) else { return };
    let proxy = Proxy::before(server.port);
    let (mut random, mut half, mut noticed) = (Random(7), 0, 0);
    for round in 0..rounds {
        let prefix = format!("round-{round}");
        let _ = fs::remove_dir_all(lab.path("b"));
        disturbed(&lab, &mut server, &proxy, ("push", "a"), &prefix, &mut random);
        // Whatever has been pushed by now: what a pull commits is what was pushed.
        let early = server.run(&lab, ("pull", "b"), &prefix, &[]);
        assert!(matches!(early.code, Some(0 | 69)), "round {round}: {}", early.stderr);
        half += usize::from(lab.assert_same("a", "b") < 5);
        server.run(&lab, ("push", "a"), &prefix, &["--repair"]).with(0);
        let _ = fs::remove_dir_all(lab.path("b"));
        disturbed(&lab, &mut server, &proxy, ("pull", "b"), &prefix, &mut random);
        lab.assert_same("a", "b");
        // A bit flips at rest, in something that a pull into an empty store reads.
        let objects = files(&lab.path("objects").join(BUCKET).join(&prefix));
        flip(&objects[random.below(objects.len() as u64) as usize], random.below(1 << 30) as usize);
        let damaged = server.run(&lab, ("pull", "c"), &prefix, &[]);
        assert!(damaged.code != Some(0), "round {round}: a flipped bit was not noticed");
        noticed += usize::from(damaged.code == Some(69));
        lab.assert_same("a", "c");
        server.run(&lab, ("push", "a"), &prefix, &["--repair"]).with(0);
        for store in ["b", "c"] {
            server.run(&lab, ("pull", store), &prefix, &[]).with(0);
            assert_eq!(lab.assert_same("a", store), 5, "round {round}");
            assert!(lab.store(store).remains().iter().all(|one| !one.path.is_dir()), "round {round}");
        }
        fs::remove_dir_all(lab.path("c")).expect("the store goes");
    }
    println!("{name}: {rounds} rounds; {half} pushes ended early, {noticed} bits at rest were named as damage");
}

#[test]
fn s3s_fs_loses_nothing_and_believes_nothing_wrong() {
    rounds_with("s3s-fs");
}

#[test]
fn rclone_loses_nothing_and_believes_nothing_wrong() {
    rounds_with("rclone");
}

#[test]
fn polars_reads_a_table_where_it_lies() {
    let lab = Lab::new();
    // Polars asks for the last 256 KiB first. S3 and s3s-fs answer that, s3s-fs only of files that are so large; rclone
    // sends the whole file, which Polars refuses.
    let rows = 60_000;
    lab.make("a", &Make { stage: "train", value: 3, machine: 0, bytes: 0, rows, inputs: &[], experiment: "full" });
    let artifact = &lab.artifacts("a")[0];
    lab.store("a").point_latest("train", None, &artifact.record().key).unwrap();
    let Some(server) = Server::start("s3s-fs", &lab.path("objects")) else { return };
    let pushed = server.run(&lab, ("push", "a"), "lab", &["train", "--json"]).with(0);
    let pushed: Value = serde_json::from_str(&pushed.stdout).unwrap();
    let place = &pushed[0]["place"];
    assert!(place.as_str().unwrap().starts_with("s3://bucket/lab/train/"), "{place}");
    let asked = json!({ "place": place, "environment": environment(server.port) }).to_string();
    let read: Value = serde_json::from_str(&python("remote_table.py", &[], &asked)).unwrap();
    assert_eq!(read["rows"], rows * 3, "all three parts");
    assert_eq!(read["value"], json!([100.0_f64.sqrt()]), "the row of step 7");
    assert_eq!(read["columns"], json!(["step", "epoch", "name", "value"]));
}

#[test]
fn a_remote_that_keeps_conditions_takes_pushes_at_once_and_one_that_ignores_them_refuses() {
    let lab = Lab::filled(10_000);
    if let Some(server) = Server::start("s3s-fs", &lab.path("keeps")) {
        let push = |_| server.command(&lab, server.port, ("push", "a"), "lab", &[]).spawn().expect("it starts");
        for push in (0..4).map(push).collect::<Vec<_>>() {
            end(push).with(0);
        }
        server.run(&lab, ("pull", "b"), "lab", &[]).with(0);
        assert_eq!(lab.assert_same("a", "b"), 5);
        let wrong =
            server.command(&lab, server.port, ("push", "a"), "lab", &[]).env("AWS_SECRET_ACCESS_KEY", "x").spawn();
        end(wrong.expect("it starts")).with(78).says(&["access is refused", "AWS_ACCESS_KEY_ID"]);
    }
    if let Some(server) = Server::start("rclone", &lab.path("ignores")) {
        let url = format!("s3://{BUCKET}/lab");
        let plain = |url: &str| {
            let mut command = lab.command("push", "a", &["--remote", url]);
            command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", server.port)).env("AWS_ALLOW_HTTP", "true");
            end(command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").spawn().expect("it starts"))
        };
        plain(&url).with(78).says(&["ignores conditions", "--alone"]);
        assert!(!lab.path("ignores").join(BUCKET).join("lab/train").exists(), "nothing was pushed");
        plain("s3://no-such-bucket/lab").with(78).says(&["no such bucket"]);
        server.run(&lab, ("push", "a"), "lab", &[]).with(0);
    }
}
