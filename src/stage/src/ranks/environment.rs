//! What the environment of a process says of the others: torchrun's variables, or those of a step of Slurm's.

use artifact::{Error, Result};

/// A process among those that run a stage together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Its number, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Its number among those of its machine, from 0.
    pub local: usize,
    /// How many its machine has, as far as that is known; at least 1.
    pub local_size: usize,
    /// Where they find each other.
    pub store: Store,
}

/// The place where processes find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The machine of rank 0.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Does the launcher hold it, and not rank 0?
    pub launcher: bool,
    /// Which attempt of the launcher this is.
    pub attempt: String,
}

/// Slurm's ports: above those that are well known, below those that systems give away.
const SLURM_PORTS: std::ops::Range<u64> = 15_000..30_000;

impl Rank {
    /// A process alone.
    pub fn alone() -> Self {
        let store = Store { host: String::new(), port: 0, launcher: false, attempt: String::new() };
        Self { rank: 0, size: 1, local: 0, local_size: 1, store }
    }

    /// What the environment says; `None` where it says nothing.
    pub fn of_environment() -> Result<Option<Self>> {
        Self::of(&|name| std::env::var(name).ok())
    }

    /// What an environment says, given as a function from names to values.
    fn of(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let environment = Environment { variable };
        match (environment.number("RANK")?, environment.number("WORLD_SIZE")?) {
            (Some(rank), Some(size)) => environment.of_torchrun(rank, size).map(Some),
            (None, None) => environment.of_slurm(),
            (Some(_), None) => Err(lonely("RANK", "WORLD_SIZE")),
            (None, Some(_)) => Err(lonely("WORLD_SIZE", "RANK")),
        }
    }

    fn checked(self, [rank, size]: [&str; 2]) -> Result<Self> {
        if self.rank < self.size {
            return Ok(self);
        }
        Err(Error::Config(format!("environment: {rank} = {} is not below {size} = {}", self.rank, self.size)))
    }
}

fn lonely(set: &str, unset: &str) -> Error {
    Error::Config(format!("environment: {set} is set, but {unset} is not; set both, as torchrun does, or neither"))
}

struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str) -> Result<Option<usize>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let bad = || Error::Config(format!("environment: {name} = '{text}' is no number from 0"));
        text.parse().map(Some).map_err(|_| bad())
    }

    /// A variable that has to be there since several processes are announced.
    fn needed<T>(name: &str, value: Option<T>, size: usize) -> Result<T> {
        let missing = || Error::Config(format!("environment: there are {size} processes, but {name} is not set"));
        value.ok_or_else(missing)
    }

    fn port(&self) -> Result<Option<u16>> {
        let Some(port) = self.number("MASTER_PORT")? else { return Ok(None) };
        let bad = || Error::Config(format!("environment: MASTER_PORT = {port} is no port from 1 to 65535"));
        u16::try_from(port).ok().filter(|port| *port > 0).map(Some).ok_or_else(bad)
    }

    fn of_torchrun(&self, rank: usize, size: usize) -> Result<Rank> {
        if size == 0 {
            return Err(Error::Config("environment: WORLD_SIZE = 0; it is at least 1".into()));
        }
        if size == 1 {
            return Rank { rank, ..Rank::alone() }.checked(["RANK", "WORLD_SIZE"]);
        }
        let store = Store {
            host: Self::needed("MASTER_ADDR", self.text("MASTER_ADDR"), size)?,
            port: Self::needed("MASTER_PORT", self.port()?, size)?,
            launcher: self.text("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True"),
            attempt: self.text("TORCHELASTIC_RESTART_COUNT").unwrap_or_default(),
        };
        let local = Self::needed("LOCAL_RANK", self.number("LOCAL_RANK")?, size)?;
        let local_size = self.number("LOCAL_WORLD_SIZE")?.unwrap_or(1).max(1);
        Rank { rank, size, local, local_size, store }.checked(["RANK", "WORLD_SIZE"])
    }

    /// A step that `srun` has started with several tasks. (A batch script has one task, whatever its job has.)
    fn of_slurm(&self) -> Result<Option<Rank>> {
        let step = self.text("SLURM_STEP_ID").filter(|_| self.text("SLURM_PROCID").is_some());
        let Some(step) = step else { return Ok(None) };
        let [of_step, of_job] = ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"];
        let named = if self.text(of_step).is_some() { of_step } else { of_job };
        let size = self.number(named)?.unwrap_or(1);
        if size <= 1 {
            return Ok(None);
        }
        let nodes = self.text("SLURM_STEP_NODELIST").or_else(|| self.text("SLURM_NODELIST"));
        let nodes = nodes.or_else(|| self.text("SLURM_JOB_NODELIST"));
        let host = match self.text("MASTER_ADDR") {
            Some(host) => host,
            None => first_host(&Self::needed("SLURM_NODELIST", nodes, size)?)?,
        };
        let job = Self::needed("SLURM_JOB_ID", self.number("SLURM_JOB_ID")?, size)?;
        let rank = Rank {
            rank: Self::needed("SLURM_PROCID", self.number("SLURM_PROCID")?, size)?,
            size,
            local: Self::needed("SLURM_LOCALID", self.number("SLURM_LOCALID")?, size)?,
            local_size: self.tasks_of_this_node()?,
            store: Store {
                host,
                port: self.port()?.unwrap_or_else(|| slurm_port(job as u64, &step)),
                launcher: false,
                attempt: String::new(),
            },
        };
        rank.checked(["SLURM_PROCID", named]).map(Some)
    }

    /// How many tasks of the step this node has, out of `2(x3),1`.
    fn tasks_of_this_node(&self) -> Result<usize> {
        let Some(text) = self.text("SLURM_STEP_TASKS_PER_NODE") else { return Ok(1) };
        let node = self.number("SLURM_NODEID")?.unwrap_or(0);
        let counts = text.split(',').flat_map(|run| {
            let (count, times) = run.trim_end_matches(')').split_once("(x").unwrap_or((run, "1"));
            std::iter::repeat_n(count.parse::<usize>().ok(), times.parse().unwrap_or(1))
        });
        Ok(counts.flatten().nth(node).unwrap_or(1).max(1))
    }
}

/// The port of a step: the same for all its tasks, another one for another step.
fn slurm_port(job: u64, step: &str) -> u16 {
    let step = step.parse::<u64>().unwrap_or_default();
    let place = (job.wrapping_mul(31).wrapping_add(step)) % (SLURM_PORTS.end - SLURM_PORTS.start);
    (SLURM_PORTS.start + place) as u16
}

/// The first host of a list such as `node[03-05,9],login`.
fn first_host(list: &str) -> Result<String> {
    let bad = || Error::Config(format!("environment: SLURM_NODELIST = '{list}' names no host; set MASTER_ADDR"));
    let end = list.find(['[', ',']).unwrap_or(list.len());
    let (name, rest) = list.split_at(end);
    let host = match rest.strip_prefix('[').map(|rest| rest.split_once(']')) {
        None => name.to_owned(),
        Some(None) => return Err(bad()),
        Some(Some((numbers, after))) => {
            let number = numbers.split([',', '-']).next().unwrap_or_default();
            let after = after.split(',').next().unwrap_or_default();
            format!("{name}{number}{after}")
        }
    };
    if host.trim().is_empty() || host.contains('[') { Err(bad()) } else { Ok(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(variables: &[(&str, &str)]) -> Result<Option<Rank>, String> {
        let find =
            |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned());
        Rank::of(&find).map_err(|error| {
            assert_eq!(error.exit_code(), 78);
            error.to_string()
        })
    }

    const TORCHRUN: [(&str, &str); 5] = [
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "29500"),
        ("RANK", "3"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_RANK", "1"),
    ];
    const SLURM: [(&str, &str); 8] = [
        ("SLURM_JOB_ID", "17"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_STEP_NUM_TASKS", "3"),
        ("SLURM_STEP_TASKS_PER_NODE", "1,2"),
        ("SLURM_NODEID", "1"),
        ("SLURM_PROCID", "2"),
        ("SLURM_LOCALID", "1"),
        ("SLURM_NODELIST", "gpu[03-04]"),
    ];

    fn with<'a>(base: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        base.iter().copied().filter(|(found, _)| *found != name).chain([(name, value)]).collect()
    }

    #[test]
    fn torchrun_says_who_a_process_is_and_who_holds_the_store() {
        let store = Store { host: "127.0.0.1".into(), port: 29_500, launcher: false, attempt: String::new() };
        let expected = Rank { rank: 3, size: 4, local: 1, local_size: 1, store };
        assert_eq!(rank(&TORCHRUN), Ok(Some(expected.clone())));
        let agent = [("TORCHELASTIC_USE_AGENT_STORE", "True"), ("TORCHELASTIC_RESTART_COUNT", "2")];
        let found = rank(&[&TORCHRUN[..], &agent, &[("LOCAL_WORLD_SIZE", "2")]].concat()).unwrap().unwrap();
        let store = Store { launcher: true, attempt: "2".into(), ..expected.store };
        assert_eq!(found, Rank { local_size: 2, store, ..expected });
    }

    #[test]
    fn a_step_of_slurm_says_it_too_and_a_batch_script_is_alone() {
        let found = rank(&SLURM).unwrap().unwrap();
        assert_eq!((found.rank, found.size, found.local, found.local_size), (2, 3, 1, 2));
        assert_eq!((found.store.host.as_str(), found.store.launcher), ("gpu03", false));
        assert_eq!(found.store.port, rank(&with(&SLURM, "SLURM_PROCID", "0")).unwrap().unwrap().store.port);
        assert_ne!(found.store.port, rank(&with(&SLURM, "SLURM_STEP_ID", "1")).unwrap().unwrap().store.port);
        let named = [("MASTER_ADDR", "10.0.0.1"), ("MASTER_PORT", "4000")];
        let named = rank(&[&SLURM[..], &named].concat()).unwrap().unwrap().store;
        assert_eq!((named.host.as_str(), named.port), ("10.0.0.1", 4000));
        assert_eq!(rank(&with(&SLURM, "SLURM_STEP_NUM_TASKS", "1")), Ok(None));
        let mut script = with(&SLURM, "SLURM_NTASKS", "3");
        script.retain(|(name, _)| !name.contains("STEP"));
        assert_eq!(rank(&script), Ok(None));
        // torchrun inside of a step of Slurm speaks for its own processes.
        assert_eq!(rank(&[&SLURM[..], &TORCHRUN].concat()).unwrap().unwrap().rank, 3);
    }

    #[test]
    fn an_environment_that_says_nothing_or_of_one_process_is_one_process() {
        assert_eq!(rank(&[]), Ok(None));
        assert_eq!(rank(&[("MASTER_ADDR", "host"), ("RANK", "")]), Ok(None));
        assert_eq!(rank(&[("RANK", "0"), ("WORLD_SIZE", "1")]), Ok(Some(Rank::alone())));
    }

    #[test]
    fn a_malformed_environment_is_one_error_that_names_the_variable() {
        let cases = [
            (with(&TORCHRUN, "RANK", "4"), "RANK = 4 is not below WORLD_SIZE = 4"),
            (with(&TORCHRUN, "RANK", "-1"), "RANK = '-1' is no number"),
            (with(&TORCHRUN, "WORLD_SIZE", "two"), "WORLD_SIZE = 'two' is no number"),
            (with(&TORCHRUN, "WORLD_SIZE", "0"), "WORLD_SIZE = 0"),
            (with(&TORCHRUN, "WORLD_SIZE", ""), "RANK is set, but WORLD_SIZE is not"),
            (with(&TORCHRUN, "RANK", ""), "WORLD_SIZE is set, but RANK is not"),
            (with(&TORCHRUN, "MASTER_ADDR", ""), "MASTER_ADDR is not set"),
            (with(&TORCHRUN, "MASTER_PORT", ""), "MASTER_PORT is not set"),
            (with(&TORCHRUN, "MASTER_PORT", "70000"), "MASTER_PORT = 70000 is no port"),
            (with(&TORCHRUN, "LOCAL_RANK", ""), "LOCAL_RANK is not set"),
            (with(&SLURM, "SLURM_PROCID", "3"), "SLURM_PROCID = 3 is not below SLURM_STEP_NUM_TASKS = 3"),
            (with(&SLURM, "SLURM_LOCALID", "x"), "SLURM_LOCALID = 'x' is no number"),
            (with(&SLURM, "SLURM_NODELIST", ""), "SLURM_NODELIST is not set"),
            (with(&SLURM, "SLURM_NODELIST", "gpu[3"), "SLURM_NODELIST = 'gpu[3' names no host"),
        ];
        for (variables, expected) in cases {
            let said = rank(&variables).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn the_first_host_of_every_form_of_a_list() {
        let lists = [("n1", "n1"), ("n1,n2", "n1"), ("n[1,3]", "n1"), ("n[08-10],m", "n08"), ("n[2-3]-ib,m", "n2-ib")];
        for (list, host) in lists {
            assert_eq!(first_host(list).unwrap(), host, "{list}");
        }
    }
}
