//! `camflow verify`: is what the store holds still what was written? Damaged artifacts are set aside.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

use artifact::store::{Place, RemainsKind};
use artifact::{Artifact, Error, Result, Store, units};
use serde::Serialize;

use crate::options::PipelineSource;
use crate::text::{self, Table};

/// What the system says when a disk cannot read a sector.
const EIO: i32 = 5;

/// What a verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Was every artifact read and every row decoded, or the files of those that are needed?
    pub deep: bool,
    /// Artifacts that are whole.
    pub whole: usize,
    /// Artifacts that are not.
    pub damaged: Vec<Damage>,
    /// Tables whose version this program does not know: their files are whole, their rows were not decoded.
    pub not_decoded: Vec<String>,
    /// What does not belong to any artifact (deep only).
    pub leftovers: Vec<Leftover>,
}

/// A damaged artifact.
#[derive(Clone, Debug, Serialize)]
pub struct Damage {
    /// Name of the stage.
    pub stage: String,
    /// First digits of its key.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// Where it is now, or why it could not be set aside.
    pub then: String,
}

/// Something that does not belong to any artifact.
#[derive(Clone, Debug, Serialize)]
pub struct Leftover {
    /// What it is.
    pub what: &'static str,
    /// Its path.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// Verifies what is needed, or (`deep`) everything, row by row.
pub fn verify(source: &PipelineSource, deep: bool, json: bool, out: &mut dyn Write) -> Result<Verification> {
    let store = source.place().store()?;
    let mut found = Verification { deep, ..Default::default() };
    let artifacts = store.inventory(&BTreeSet::new())?.artifacts;
    let needed: Vec<_> = artifacts.iter().filter(|one| one.needed).map(|one| one.artifact.dir().to_owned()).collect();
    for Place { stage, name, dir, found: artifact } in store.places()? {
        let result = match artifact {
            // What keeps a damaged record cannot be known: it is looked at like those that are needed.
            Err(error) => Err(error),
            Ok(Some(artifact)) if deep || needed.contains(&dir) => found.read(&artifact),
            Ok(Some(_)) => continue,
            Ok(None) => {
                found.leftovers.extend(deep.then(|| Leftover::of("no artifact", &dir)));
                continue;
            }
        };
        match result {
            Ok(()) => found.whole += 1,
            Err(error) => {
                let then = match is_damage(&error).then(|| store.set_aside_dir(&stage, &name)) {
                    Some(Ok(aside)) => format!("set aside in {aside}"),
                    Some(Err(refused)) => refused.to_string(),
                    None => "left where it is".to_owned(),
                };
                found.damaged.push(Damage { stage, key: name, what: error.to_string(), then });
            }
        }
    }
    if deep {
        found.leftovers.extend(leftovers(&store)?);
    }
    if json {
        text::emit_json(out, &found)?;
    } else {
        text::emit(out, &found.to_string())?;
    }
    match found.damaged.len() {
        0 => Ok(found),
        count => Err(Error::NotCommitted(format!("{count} artifacts are damaged; `camflow run` computes them anew"))),
    }
}

/// Is it the content that is at fault, or the disk below it (EIO), and not, for example, a lack of rights?
fn is_damage(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => source.raw_os_error() == Some(EIO),
        other => matches!(other, Error::NotCommitted(_)),
    }
}

impl Verification {
    fn read(&mut self, artifact: &Artifact) -> Result<()> {
        artifact.verify()?;
        if self.deep {
            let tables = artifact.verify_content()?;
            let dir = artifact.dir().display();
            self.not_decoded.extend(tables.iter().map(|table| format!("{dir}: {table}")));
        }
        Ok(())
    }
}

impl Leftover {
    fn of(what: &'static str, path: &std::path::Path) -> Self {
        Self { what, path: path.display().to_string(), bytes: artifact::store::Usage::of(path).bytes }
    }
}

fn leftovers(store: &Store) -> Result<Vec<Leftover>> {
    let dangling = store.dangling_links()?;
    let dangling = dangling.iter().map(|link| Leftover::of("link to nothing", link));
    let remains = store.remains();
    let remains = remains.iter().map(|one| {
        let what = match one.kind {
            RemainsKind::Work if one.leased => "work in progress",
            RemainsKind::Work => "unfinished work",
            RemainsKind::SetAside => "set aside",
            RemainsKind::Attempt => "submission to a scheduler",
            RemainsKind::Left => "left by a killed process",
        };
        Leftover::of(what, &one.path)
    });
    Ok(remains.chain(dangling).collect())
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Damage { stage, key, what, then } in &self.damaged {
            writeln!(f, "{stage}:{key}: {what}; {then}")?;
        }
        for table in &self.not_decoded {
            writeln!(
                f,
                "{table}: of another version than this program reads; its file is whole, its rows were not read"
            )?;
        }
        if !self.leftovers.is_empty() {
            let mut table = Table::new(&["leftover", "size", "path"]);
            for Leftover { what, path, bytes } in &self.leftovers {
                table.row([*what, &units::bytes(*bytes), path]);
            }
            writeln!(f, "{table}`camflow gc` removes what is old of these\n")?;
        }
        writeln!(f, "{} artifacts are whole, {} damaged", self.whole, self.damaged.len())
    }
}
