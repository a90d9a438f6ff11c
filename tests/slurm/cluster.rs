//! A Slurm of two nodes on this machine, started and ended by `cluster.sh`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What `cluster.sh` ends with where Slurm is not installed.
const NOT_INSTALLED: i32 = 2;

/// A running cluster; it ends with this value.
pub struct Cluster {
    dir: TempDir,
}

fn script() -> PathBuf {
    let places = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("tests/slurm/cluster.sh"));
    places.into_iter().find(|script| script.is_file()).expect("the script is there")
}

impl Cluster {
    /// `None`, and a line that says why, where Slurm is not installed.
    pub fn start() -> Option<Self> {
        let cluster = Self { dir: TempDir::new().expect("a directory for the cluster") };
        let status = cluster.tell(&["start"]);
        if status == Some(NOT_INSTALLED) {
            println!("not tested");
            return None;
        }
        assert_eq!(status, Some(0), "the cluster starts");
        Some(cluster)
    }

    fn tell(&self, words: &[&str]) -> Option<i32> {
        let (command, rest) = words.split_first().expect("a command");
        let mut script = Command::new(script());
        script.arg(command).arg(self.dir.path()).args(rest);
        script.status().expect("a shell").code()
    }

    /// The file that leads Slurm's programs to the cluster, by `SLURM_CONF`.
    pub fn conf(&self) -> PathBuf {
        self.dir.path().join("slurm.conf")
    }

    /// A program of Slurm.
    pub fn slurm(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf());
        command
    }

    /// Kills the daemon of a pid file, and waits until it is gone.
    fn kill(&self, pid_file: &str) {
        let text = std::fs::read_to_string(self.dir.path().join(pid_file)).expect("it runs");
        let pid = text.trim().parse().expect("a process id");
        let process = rustix::process::Pid::from_raw(pid).expect("a process id");
        rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("the process is there");
        let start = Instant::now();
        while Path::new(&format!("/proc/{pid}/exe")).exists() && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn kill_controller(&self) {
        self.kill("slurmctld.pid");
    }

    /// Starts the controller again, and waits until it answers.
    pub fn start_controller(&self) {
        assert_eq!(self.tell(&["controller"]), Some(0));
        let start = Instant::now();
        while !self.slurm("squeue").output().expect("squeue").status.success() {
            assert!(start.elapsed() < Duration::from_mins(1), "the controller answers");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the scheduler has in hand, for a message.
    pub fn queue(&self) -> String {
        let output = self.slurm("squeue").args(["--array", "--format=%F_%K %T %r %N %k"]).output().expect("squeue");
        let nodes = self.slurm("sinfo").args(["--Node", "--long"]).output().expect("sinfo");
        [output, nodes].map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).concat()
    }

    /// Waits until no job is left.
    pub fn wait_until_idle(&self) {
        let start = Instant::now();
        while !self.slurm("squeue").arg("--noheader").output().expect("squeue").stdout.is_empty() {
            assert!(start.elapsed() < Duration::from_mins(2), "the queue is empty");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Takes nodes back into service that the controller has drained, as an administrator does: one that was killed has
    /// lost its last seconds, gives numbers again, and drains nodes that know them ("Duplicate jobid").
    pub fn resume_nodes(&self) {
        let drained = self.slurm("sinfo").args(["--noheader", "--states=drain,down", "--format=%N"]).output();
        for nodes in String::from_utf8_lossy(&drained.expect("sinfo").stdout).lines().filter(|line| !line.is_empty()) {
            let node = format!("nodename={}", nodes.trim());
            let _ = self.slurm("scontrol").args(["update", &node, "state=resume"]).status();
        }
    }

    /// Takes the whole cluster for some seconds, before everybody else.
    pub fn urgent_job(&self, seconds: u32) {
        let mut sbatch = self.slurm("sbatch");
        sbatch.args(["--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null"]);
        assert!(sbatch.arg(format!("--wrap=sleep {seconds}")).status().expect("sbatch").success());
    }

    pub fn kill_node(&self, name: &str) {
        self.kill(&format!("slurmd.{name}.pid"));
    }

    pub fn start_node(&self, name: &str) {
        assert_eq!(self.tell(&["node", name]), Some(0));
    }

    /// Puts what runs back into the queue, as an administrator or a preemption does.
    pub fn requeue_running(&self) {
        let output = self.slurm("squeue").args(["--noheader", "--array", "--states=RUNNING", "--format=%A"]).output();
        for job in String::from_utf8_lossy(&output.expect("squeue").stdout).lines() {
            // One that has ended meanwhile cannot be put back.
            let _ = self.slurm("scontrol").args(["requeue", job.trim()]).status();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tell(&["stop"]);
    }
}
