//! Which artifacts a store holds, and under the name of which experiment each was found.
//!
//! Reads `artifact.json` of every artifact and, where it is asked for, what the last run said; writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use artifact::manifest::{at_seed, variant_of};
use artifact::store::{Record, TableRecord};
use artifact::table::{Declaration, declarations};
use artifact::{Artifact, Error, Result, Store};

/// Name of the main experiment where nothing in the store tells it.
const MAIN: &str = "main";

/// An artifact and the name under which it was found.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The stage that wrote it.
    pub stage: String,
    /// The experiment whose link leads to it.
    pub experiment: String,
    /// Was it found under `latest`, the link of the main experiment?
    pub main: bool,
    /// The artifact.
    pub artifact: Artifact,
}

/// What a store holds.
#[derive(Debug)]
pub struct Holdings {
    root: PathBuf,
    all: Vec<Holding>,
    warnings: Vec<String>,
}

/// Which artifacts of a store are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that the `latest` links name.
    Latest,
    /// Every committed one.
    All,
}

impl Holdings {
    /// Reads the records of a store.
    ///
    /// # Errors
    /// [`Error::NotCommitted`] if there is no store, or no committed artifact in it.
    pub fn open(root: &Path, scope: Scope) -> Result<Self> {
        let stages = stages(root)?;
        let store = Store::open(root)?;
        let mut holdings = Self { root: root.to_owned(), all: Vec::new(), warnings: Vec::new() };
        for stage in &stages {
            match scope {
                Scope::Latest => holdings.add_latest(&store, stage),
                Scope::All => holdings.add_all(&store, stage)?,
            }
        }
        holdings.name_main();
        if holdings.all.is_empty() {
            let damaged = holdings.warnings.first().map(|warning| format!(" ({warning})")).unwrap_or_default();
            return Err(empty_store(root, &damaged));
        }
        Ok(holdings)
    }

    fn add_latest(&mut self, store: &Store, stage: &str) {
        for experiment in store.latest_experiments(stage) {
            match store.latest(stage, experiment.as_deref()) {
                Ok(Some(artifact)) => self.all.push(Holding {
                    stage: stage.to_owned(),
                    main: experiment.is_none(),
                    experiment: experiment.unwrap_or_default(),
                    artifact,
                }),
                Ok(None) => {
                    let link = artifact::store::latest_name(experiment.as_deref());
                    self.warnings.push(format!("{stage}/{link} leads to no committed artifact; left out"));
                }
                Err(error) => self.warnings.push(format!("{error}; left out")),
            }
        }
    }

    fn add_all(&mut self, store: &Store, stage: &str) -> Result<()> {
        for artifact in store.artifacts(stage)? {
            let experiment = artifact.record().provenance.experiment.clone();
            self.all.push(Holding { stage: stage.to_owned(), experiment, main: false, artifact });
        }
        Ok(())
    }

    /// `latest` does not say what the main experiment is called. Its evaluation does (the name is among the
    /// parameters); failing that, the artifacts that no other experiment has a link to were first made for it.
    fn name_main(&mut self) {
        let others: BTreeSet<_> =
            self.all.iter().filter(|held| !held.main).map(|held| held.experiment.clone()).collect();
        let main = self.all.iter().filter(|held| held.main);
        let told = main.clone().find_map(|held| told(held, &others));
        let mut made_for: BTreeMap<&str, usize> = BTreeMap::new();
        for held in main {
            let name = held.artifact.record().provenance.experiment.as_str();
            if !name.is_empty() && !others.contains(name) {
                *made_for.entry(name).or_default() += 1;
            }
        }
        let likeliest = made_for.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned());
        let name = told.or(likeliest).unwrap_or_else(|| MAIN.to_owned());
        let of_main: BTreeSet<_> = self.all.iter().filter(|held| held.main).map(|held| held.stage.clone()).collect();
        // A link of the time when the main experiment was another one.
        self.all.retain(|held| held.main || held.experiment != name || !of_main.contains(&held.stage));
        for held in self.all.iter_mut().filter(|held| held.main) {
            held.experiment.clone_from(&name);
        }
    }

    /// Leaves out the experiments that are not among `names`, but for the main one; returns those that it left out.
    pub fn keep(&mut self, names: &[String]) -> BTreeSet<String> {
        let kept = |held: &Holding| held.main || names.contains(&held.experiment);
        let (kept, left): (Vec<_>, Vec<_>) = self.all.drain(..).partition(kept);
        self.all = kept;
        left.into_iter().map(|held| held.experiment).collect()
    }

    /// The holdings but for those of some tables, such as the benchmarks', which no pipeline made.
    pub(crate) fn without(&self, tables: &[&str]) -> Self {
        let has = |held: &Holding| tables.iter().any(|table| held.artifact.record().tables.contains_key(*table));
        let others = self.all.iter().filter(|held| !has(held));
        Self { root: self.root.clone(), all: others.cloned().collect(), warnings: self.warnings.clone() }
    }

    /// The artifact of a stage that another was computed from: an experiment's own if it holds what was read, else the
    /// one in the store.
    pub(crate) fn input(&self, of: &Record, stage: &str, experiment: &str) -> Result<Option<Artifact>> {
        let Some(reading) = of.preimage.inputs.get(stage) else { return Ok(None) };
        let alike = |artifact: &Artifact| artifact.record().gives(reading);
        let own = |held: &&Holding| held.stage == stage && held.experiment == experiment && alike(&held.artifact);
        match self.all.iter().find(own) {
            Some(own) => Ok(Some(own.artifact.clone())),
            None => Store::open(&self.root)?.input(of, stage),
        }
    }

    /// What was found, by stage, the main experiment of each first.
    pub fn all(&self) -> &[Holding] {
        &self.all
    }

    /// What the last run that is over said of itself, if the store still has it.
    pub(crate) fn last_run(&self) -> Option<Vec<u8>> {
        let runs = Store::open(&self.root).ok()?.runs();
        runs.into_iter().rfind(|run| !run.alive).map(|run| run.said)
    }

    /// Links and artifacts that had to be left out, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Names of the experiments: the main one last, as the others lead up to it.
    pub fn experiments(&self) -> Vec<String> {
        let main = self.all.iter().find(|held| held.main).map(|held| held.experiment.clone());
        let mut names: Vec<_> = self.all.iter().map(|held| held.experiment.clone()).collect();
        names.sort();
        names.dedup();
        names.sort_by_key(|name| Some(name) == main.as_ref());
        names
    }

    /// The holdings of a table, each with the table's record, in a version this program reads.
    pub fn of_table<'a>(&'a self, table: &str) -> impl Iterator<Item = (&'a Holding, &'a TableRecord)> + use<'a> {
        let declared = declarations().into_iter().find(|declared| declared.name == table);
        self.all.iter().filter_map(move |held| {
            let declared = declared.as_ref()?;
            let record = held.artifact.record().tables.get(declared.name)?;
            (record.version == declared.version && !record.parts.is_empty()).then_some((held, record))
        })
    }

    /// The holdings whose rows make up a table. One whose rows name their experiment themselves is there once, however
    /// many links lead to it.
    pub fn making_up<'a>(&'a self, table: &Declaration) -> Vec<(&'a Holding, &'a TableRecord)> {
        let names_itself = table.schema.field_with_name("experiment").is_ok();
        let mut seen = BTreeSet::new();
        let mut is_new = |held: &Holding| !names_itself || seen.insert(held.artifact.record().key.clone());
        self.of_table(table.name).filter(|(held, _)| is_new(held)).collect()
    }
}

/// What an evaluation's parameters call its experiment. At a seed of a matrix they lack the seed.
fn told(held: &Holding, others: &BTreeSet<String>) -> Option<String> {
    let record = held.artifact.record();
    let param = |name: &str| record.preimage.params.get(name);
    let title = param("experiment")?.as_str()?;
    let at_seed = param("seed").and_then(serde_json::Value::as_u64).map(|seed| at_seed(title, seed));
    let of_matrix = |name: &String| {
        record.provenance.experiment == *name
            || others.iter().any(|other| other != title && variant_of(other).0 == title)
    };
    Some(at_seed.filter(of_matrix).unwrap_or_else(|| title.to_owned()))
}

/// The directories of a store that belong to stages. Unlike opening a store this makes none.
fn stages(root: &Path) -> Result<Vec<String>> {
    if !root.is_dir() {
        let path = root.display();
        return Err(Error::NotCommitted(format!(
            "no store at {path}; run `make pipeline` first, or name yours with --store DIR"
        )));
    }
    let mut stages = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let entry = entry.map_err(Error::io("list", root))?;
        if let Some(name) = entry.file_name().to_str()
            && name != "work"
            && entry.path().is_dir()
            && fs::read_dir(entry.path()).is_ok_and(|mut all| all.any(|dir| is_artifact(dir.as_ref())))
        {
            stages.push(name.to_owned());
        }
    }
    stages.sort();
    if stages.is_empty() { Err(empty_store(root, "")) } else { Ok(stages) }
}

fn is_artifact(entry: Result<&fs::DirEntry, &std::io::Error>) -> bool {
    entry.is_ok_and(|entry| entry.path().join(artifact::store::RECORD_FILE).is_file())
}

fn empty_store(root: &Path, detail: &str) -> Error {
    let path = root.display();
    Error::NotCommitted(format!(
        "the store {path} holds no committed artifact{detail}; run `make pipeline` first, or name yours with \
         --store DIR"
    ))
}
