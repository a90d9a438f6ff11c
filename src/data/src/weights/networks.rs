//! Which of the networks in a file is meant, and what its tensors are called without the names of wrappers before them.
//!
//! Training scripts keep a network under a name of theirs (`state_dict`, `model`, `net`), in a dict of its own or at
//! the beginning of every tensor's name, and often a second one beside it: the average of the first, or a teacher.
//! Where there is one, it is taken; where there are two, the file's path must say which.

use std::collections::BTreeSet;

use super::cursor::Result;

/// What `DataParallel` and `torch.compile` put before every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Under which names scripts keep networks.
const NETWORKS: [&str; 24] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "params",
    "teacher",
    "student",
    "ema",
    "model_ema",
    "ema_model",
    "net_ema",
    "params_ema",
    "state_dict_ema",
    "ema_state_dict",
    "encoder_q",
    "encoder_k",
    "base_encoder",
    "momentum_encoder",
    "online_network",
    "target_network",
    "generator",
    "discriminator",
];

/// The tensors of one network.
pub struct Chosen<T> {
    /// By their names in it.
    pub tensors: Vec<(String, T)>,
    /// The beginnings of the names of all others.
    pub left_out: BTreeSet<String>,
}

/// Takes the network that `wanted` names, such as `teacher` or `state_dict.teacher`, or else the only one.
pub fn choose<T>(tensors: Vec<(String, T)>, wanted: Option<&str>) -> Result<Chosen<T>> {
    let mut wanted: Vec<&str> = wanted.map_or_else(Vec::new, |wanted| wanted.split('.').collect());
    wanted.reverse();
    let mut chosen = Chosen { tensors, left_out: BTreeSet::new() };
    loop {
        chosen.tensors = chosen.tensors.into_iter().map(|(name, tensor)| (unwrapped(&name), tensor)).collect();
        let firsts: BTreeSet<&str> = chosen.tensors.iter().filter_map(|(name, _)| first(name)).collect();
        let networks: Vec<&str> = firsts.iter().copied().filter(|first| NETWORKS.contains(first)).collect();
        let network = match (wanted.last(), networks.as_slice()) {
            (Some(wanted), _) if firsts.contains(wanted) => *wanted,
            (_, [only]) => only,
            (None, []) => return Ok(chosen),
            (None, several) => return Err(ambiguous(several)),
            (Some(wanted), _) => {
                let there = firsts.iter().take(10).copied().collect::<Vec<_>>().join(", ");
                return Err(format!("holds no network '{wanted}'; its names begin with: {there}"));
            }
        };
        if wanted.last() == Some(&network) {
            wanted.pop();
        }
        let network = network.to_owned();
        chosen.keep(&network);
    }
}

impl<T> Chosen<T> {
    /// Keeps what lies under `network`, without that name.
    fn keep(&mut self, network: &str) {
        let all = std::mem::take(&mut self.tensors);
        for (name, tensor) in all {
            match name.split_once('.') {
                Some((first, rest)) if first == network => self.tensors.push((rest.to_owned(), tensor)),
                Some((first, _)) => drop(self.left_out.insert(first.to_owned())),
                None => drop(self.left_out.insert(name)),
            }
        }
    }
}

/// The name without wrappers of its network or of parts of it.
fn unwrapped(name: &str) -> String {
    let mut bare = name;
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| bare.strip_prefix(wrapper)) {
        bare = rest;
    }
    bare.replace("._orig_mod.", ".")
}

/// What stands before a name's first dot, if there is one.
fn first(name: &str) -> Option<&str> {
    name.split_once('.').map(|(first, _)| first)
}

fn ambiguous(networks: &[&str]) -> String {
    let names = networks.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(" and ");
    format!("holds more than one network, {names}: say which, as in FILE#{}", networks[0])
}
