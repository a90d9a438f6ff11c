//! Which tables a store holds, from the records of its artifacts, and a lazy scan of each.
//!
//! A table is the union over the `latest` links of the stages that write it, or over every committed artifact.
//! Nothing but `artifact.json` is read until a scan is collected, and of that only the columns that are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use artifact::store::TableRecord;
use artifact::table::{
    CamRow, ClassScoreRow, ConfusionRow, CrfRow, CurveRow, DatasetRow, HistogramRow, LabelRow, ScoreRow, SweepRow,
};
use artifact::{Artifact, Error, Manifest, Result, Row, Store};
use polars::io::HiveOptions;
use polars::prelude::{LazyFrame, OptFlags, PlRefPath, ScanArgsParquet, UnionArgs, concat, lit};

use crate::polars_error;

/// Parts up to this size, which are all that hold numbers, are read only if their digest holds. Larger ones hold pictures,
/// of which a query reads a few: `camflow verify` reads them whole.
const READ_BY_DIGEST: u64 = 16 << 20;

/// Name of the main experiment where nothing in the store tells it.
const MAIN: &str = "main";

/// The schema of a table as the `artifact` crate declares it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Name of the table.
    pub name: &'static str,
    /// Version this program reads.
    pub version: u32,
    /// The columns in their order.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type, as text.
    pub kind: String,
    /// What it means.
    pub doc: String,
}

/// An artifact and the name under which it was found.
#[derive(Clone, Debug)]
pub struct Source {
    /// The stage that wrote it.
    pub stage: String,
    /// The experiment whose link leads to it.
    pub experiment: String,
    /// Was it found under `latest`, the link of the main experiment?
    pub main: bool,
    /// The artifact.
    pub artifact: Artifact,
}

/// The name of an experiment without the seed at which a matrix runs it: `rcm` of `rcm~2`.
pub fn title_of(experiment: &str) -> &str {
    experiment.rsplit_once('~').map_or(experiment, |(variant, _)| variant)
}

/// What a store holds.
#[derive(Debug)]
pub struct Catalog {
    root: PathBuf,
    sources: Vec<Source>,
    warnings: Vec<String>,
}

/// Which artifacts a catalog is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that the `latest` links name.
    Latest,
    /// Every committed one.
    All,
}

/// All tables that stages write, as declared.
pub fn declared_tables() -> Vec<Declared> {
    vec![
        declared::<DatasetRow>(),
        declared::<CamRow>(),
        declared::<CrfRow>(),
        declared::<SweepRow>(),
        declared::<HistogramRow>(),
        declared::<LabelRow>(),
        declared::<ConfusionRow>(),
        declared::<ClassScoreRow>(),
        declared::<ScoreRow>(),
        declared::<CurveRow>(),
    ]
}

fn declared<R: Row>() -> Declared {
    let schema = R::schema();
    let columns = schema.fields().iter().map(|field| Column {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
        doc: field.metadata().get("doc").cloned().unwrap_or_default(),
    });
    Declared { name: R::TABLE, version: R::VERSION, columns: columns.collect() }
}

/// The columns that every table has besides its own: which experiment, stage and artifact a row comes from.
pub fn added_columns(table: &Declared) -> Vec<Column> {
    let column = |name: &str, doc: &str| Column { name: name.into(), kind: "Utf8".into(), doc: doc.into() };
    let all = [
        column("experiment", "Experiment whose link leads to the artifact."),
        column("source_stage", "Stage that wrote the artifact."),
        column("key", "Key of the artifact, the name of its directory."),
    ];
    all.into_iter().filter(|added| table.columns.iter().all(|own| own.name != added.name)).collect()
}

impl Catalog {
    /// Reads the records of a store.
    pub fn open(root: &Path, scope: Scope) -> Result<Self> {
        let stages = stages(root)?;
        let store = Store::open(root)?;
        let mut catalog = Self { root: root.to_owned(), sources: Vec::new(), warnings: Vec::new() };
        for stage in &stages {
            match scope {
                Scope::Latest => catalog.add_latest(&store, stage),
                Scope::All => catalog.add_all(&store, stage)?,
            }
        }
        catalog.name_main();
        if catalog.sources.is_empty() {
            let damaged = catalog.warnings.first().map(|warning| format!(" ({warning})")).unwrap_or_default();
            return Err(empty_store(root, &damaged));
        }
        Ok(catalog)
    }

    fn add_latest(&mut self, store: &Store, stage: &str) {
        for experiment in store.latest_experiments(stage) {
            match store.latest(stage, experiment.as_deref()) {
                Ok(Some(artifact)) => self.sources.push(Source {
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
            self.sources.push(Source { stage: stage.to_owned(), experiment, main: false, artifact });
        }
        Ok(())
    }

    /// `latest` does not say what the main experiment is called. Its evaluation does (the name is among the
    /// parameters); failing that, the artifacts that no other experiment has a link to were first made for it.
    fn name_main(&mut self) {
        let others: BTreeSet<_> = self.sources.iter().filter(|s| !s.main).map(|s| s.experiment.clone()).collect();
        let main = self.sources.iter().filter(|source| source.main);
        let told = main.clone().find_map(|source| told(source, &others));
        let mut made_for: BTreeMap<&str, usize> = BTreeMap::new();
        for source in main {
            let name = source.artifact.record().provenance.experiment.as_str();
            if !name.is_empty() && !others.contains(name) {
                *made_for.entry(name).or_default() += 1;
            }
        }
        let likeliest = made_for.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned());
        let name = told.or(likeliest).unwrap_or_else(|| MAIN.to_owned());
        let of_main: BTreeSet<_> = self.sources.iter().filter(|s| s.main).map(|s| s.stage.clone()).collect();
        // A link of the time when the main experiment was another one.
        self.sources.retain(|s| s.main || s.experiment != name || !of_main.contains(&s.stage));
        for source in self.sources.iter_mut().filter(|source| source.main) {
            source.experiment.clone_from(&name);
        }
    }

    /// Leaves out the experiments that are not among `names`, but for the main one; returns those that it left out.
    pub fn keep(&mut self, names: &[String]) -> BTreeSet<String> {
        let kept = |source: &Source| source.main || names.contains(&source.experiment);
        let (kept, left): (Vec<_>, Vec<_>) = self.sources.drain(..).partition(kept);
        self.sources = kept;
        left.into_iter().map(|source| source.experiment).collect()
    }

    /// The artifact of a stage that has this content: an experiment's own, else any in the store.
    pub(crate) fn with_content(&self, stage: &str, digest: &str, experiment: &str) -> Result<Option<Artifact>> {
        let alike = |artifact: &Artifact| artifact.record().digest == digest;
        let own = self.sources.iter().find(|s| s.stage == stage && s.experiment == experiment && alike(&s.artifact));
        match own {
            Some(own) => Ok(Some(own.artifact.clone())),
            None => Store::open(&self.root)?.with_content(stage, digest),
        }
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was found, by stage, the main experiment of each first.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Links and artifacts that had to be left out, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Names of the experiments: the main one last, as the others lead up to it.
    pub fn experiments(&self) -> Vec<String> {
        let main = self.sources.iter().find(|source| source.main).map(|source| source.experiment.clone());
        let mut names: Vec<_> = self.sources.iter().map(|source| source.experiment.clone()).collect();
        names.sort();
        names.dedup();
        names.sort_by_key(|name| Some(name) == main.as_ref());
        names
    }

    /// The sources of a table, with its record, in a version this program reads.
    pub fn sources_of<'a>(&'a self, table: &str) -> impl Iterator<Item = (&'a Source, &'a TableRecord)> + use<'a> {
        let table = table.to_owned();
        let version = declared_tables().into_iter().find(|known| known.name == table).map(|known| known.version);
        self.sources.iter().filter_map(move |source| {
            let record = source.artifact.record().tables.get(&table)?;
            (Some(record.version) == version && !record.parts.is_empty()).then_some((source, record))
        })
    }

    /// Rows of a table over all its sources.
    pub fn rows(&self, table: &str) -> u64 {
        self.distinct(table).iter().map(|(_, record)| record.rows).sum()
    }

    /// The sources of a table; one whose rows name their experiment themselves is there once, however many links
    /// lead to it.
    fn distinct(&self, table: &str) -> Vec<(&Source, &TableRecord)> {
        let own = declared_tables().iter().any(|known| known.name == table && has_column(known, "experiment"));
        let mut seen = BTreeSet::new();
        self.sources_of(table).filter(|(source, _)| !own || seen.insert(source.artifact.record().key.clone())).collect()
    }

    /// A lazy scan of a table over all its sources; `None` if no stage has written it yet.
    pub fn scan(&self, table: &Declared) -> Result<Option<LazyFrame>> {
        let mut scans = Vec::new();
        for (source, record) in self.distinct(table.name) {
            let values = [&source.experiment, &source.stage, source.artifact.record().key.short()]
                .map(|value: &str| value.to_owned());
            let names = ["experiment", "source_stage", "key"];
            let added = names.into_iter().zip(values).filter(|(name, _)| !has_column(table, name));
            let added: Vec<_> = added.map(|(name, value)| lit(value).alias(name)).collect();
            scans.push(scan_parts(source, record)?.with_columns(added));
        }
        match scans.len() {
            0 | 1 => Ok(scans.pop()),
            _ => concat(scans, UnionArgs::default()).map(counted).map(Some).map_err(|error| polars_error(&error)),
        }
    }

    /// A lazy scan of the table of one source, as it is; `None` if the source has no such table.
    pub(crate) fn scan_source(source: &Source, table: &str) -> Result<Option<LazyFrame>> {
        match source.artifact.record().tables.get(table) {
            Some(record) if !record.parts.is_empty() => scan_parts(source, record).map(Some),
            _ => Ok(None),
        }
    }
}

/// What an evaluation's parameters call its experiment. At a seed of a matrix they lack the seed.
fn told(source: &Source, others: &BTreeSet<String>) -> Option<String> {
    let record = source.artifact.record();
    let param = |name: &str| record.preimage.params.get(name);
    let title = param("experiment")?.as_str()?;
    let at_seed = param("seed").map(|seed| format!("{title}~{seed}"));
    let of_matrix = |name: &String| {
        record.provenance.experiment == *name || others.iter().any(|other| other != title && title_of(other) == title)
    };
    Some(at_seed.filter(of_matrix).unwrap_or_else(|| title.to_owned()))
}

fn has_column(table: &Declared, name: &str) -> bool {
    table.columns.iter().any(|column| column.name == name)
}

/// Polars counts the rows of a union in 128 bits, which is a feature that costs minutes of build time, and fails
/// without it. It does not see the union through a map that changes nothing; filters and projections still pass.
fn counted(union: LazyFrame) -> LazyFrame {
    let transparent = OptFlags::PREDICATE_PUSHDOWN | OptFlags::PROJECTION_PUSHDOWN | OptFlags::STREAMING;
    union.map(Ok, transparent, None, Some("union"))
}

/// Scans exactly the parts that the record lists. The directory is that of the key: a link may move meanwhile.
fn scan_parts(source: &Source, record: &TableRecord) -> Result<LazyFrame> {
    let link = source.artifact.dir();
    let dir = link.parent().unwrap_or(link).join(source.artifact.record().key.short());
    let mut paths = Vec::new();
    for part in &record.parts {
        let path = dir.join(&part.file);
        if part.bytes <= READ_BY_DIGEST && !part.matches(&dir)? {
            let path = path.display();
            return Err(Error::NotCommitted(format!(
                "{path}: is damaged (its digest differs); `camflow verify` sets it aside, `camflow run` computes it anew"
            )));
        }
        let path = std::path::absolute(&path).map_err(Error::io("find", &path))?;
        paths.push(PlRefPath::try_from_path(&path).map_err(|error| polars_error(&error))?);
    }
    let hive_options = HiveOptions { enabled: Some(false), ..HiveOptions::default() };
    let args = ScanArgsParquet { glob: false, hive_options, ..ScanArgsParquet::default() };
    LazyFrame::scan_parquet_files(paths.into_iter().collect(), args).map_err(|error| polars_error(&error))
}

/// The directories of a store that belong to stages.
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

/// The manifest and the store to read.
///
/// The manifest is the named one, else `pipeline.toml` where there is one. The store is the directory if one is named, else
/// the manifest's, else where `make pipeline` puts it.
///
/// # Errors
/// [`Error::Config`] if the manifest does not hold; that of a `pipeline.toml` nobody named matters only where no store is.
pub fn manifest_and_store(manifest: Option<&Path>, store: Option<PathBuf>) -> Result<(Option<Manifest>, PathBuf)> {
    let default = Path::new(Manifest::DEFAULT_FILE);
    let manifest = match manifest {
        Some(path) => Some(Manifest::load(path, &[])?),
        None if store.is_some() => Manifest::load(default, &[]).ok(),
        None if default.exists() => Some(Manifest::load(default, &[])?),
        None => None,
    };
    let store = match (store, &manifest) {
        (Some(store), _) => store,
        (None, Some(manifest)) => manifest.store()?,
        (None, None) => PathBuf::from("artifacts"),
    };
    Ok((manifest, store))
}

fn empty_store(root: &Path, detail: &str) -> Error {
    let path = root.display();
    Error::NotCommitted(format!(
        "the store {path} holds no committed artifact{detail}; run `make pipeline` first, or name yours with --store DIR"
    ))
}
