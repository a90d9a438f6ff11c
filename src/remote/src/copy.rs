//! One artifact as a remote holds it: the pointer of its key, and the record that this leads to.

use artifact::store::{ArtifactFile, LOG_FILE, RECORD_FILE, Record};
use artifact::{Error, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;

use crate::layout::{self, Pointer};
use crate::remote::Remote;
use crate::transfer::{self, FILES};

/// A copy of which the record has been read.
#[derive(Clone, Debug)]
pub struct Copy {
    pub pointer: Pointer,
    pub record: Record,
    /// The bytes of the record.
    pub text: Vec<u8>,
    /// Where it lies.
    pub path: Path,
}

/// What the pointer of a key says, of which the first digits or all are given; `None` if the remote does not hold it.
pub async fn pointer(remote: &Remote, stage: &str, digits: &str) -> Result<Option<Pointer>> {
    let path = layout::pointer(&remote.root, stage, &digits[..16]);
    let Some(bytes) = remote.read(&path).await? else { return Ok(None) };
    let pointer: Pointer = layout::read(&bytes, &remote.place(&path))?;
    if pointer.key.as_str().starts_with(digits) && is_digest(pointer.key.as_str()) && is_digest(&pointer.copy) {
        return Ok(Some(pointer));
    }
    Err(Error::NotCommitted(format!("{}: is damaged (it is the pointer of another key)", remote.place(&path))))
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Copy {
    /// Reads the record to which a pointer leads.
    pub async fn open(remote: &Remote, stage: &str, pointer: Pointer) -> Result<Self> {
        let path = layout::copy(&remote.root, stage, &pointer.key, &pointer.copy);
        let at = layout::file(&path, RECORD_FILE);
        let place = remote.place(&at);
        let damaged = |what: &str| {
            Error::NotCommitted(format!(
                "{place}: is damaged ({what}); `camflow push --repair` mends it from a store that holds the artifact"
            ))
        };
        let text = remote.read(&at).await?.ok_or_else(|| damaged("it is not there"))?.to_vec();
        let record = Record::from_bytes(text.clone()).map_err(|reason| damaged(&reason))?;
        if record.preimage.stage != stage || record.key != pointer.key || record.seal != pointer.copy {
            return Err(damaged("it is the record of another artifact"));
        }
        Ok(Self { pointer, record, text, path })
    }

    /// Every file that belongs to it.
    pub fn files(&self) -> Vec<ArtifactFile> {
        files(&self.record, &self.pointer)
    }

    /// Reads every file of it; the first that is not what the record says is an error.
    pub async fn read_back(&self, remote: &Remote) -> Result<()> {
        let files = stream::iter(self.files().into_iter().map(Ok::<_, Error>));
        let read = files.map_ok(|file| async move {
            let at = layout::file(&self.path, &file.name);
            if transfer::is_whole(remote, &at, &file.content).await? {
                return Ok(());
            }
            Err(Error::NotCommitted(format!("{}: is damaged or not there", remote.place(&at))))
        });
        read.try_buffer_unordered(FILES).try_collect::<Vec<()>>().await.map(drop)
    }
}

/// The files of a record, and the log that its pointer names.
pub fn files(record: &Record, pointer: &Pointer) -> Vec<ArtifactFile> {
    let log = pointer.log.clone().map(|content| ArtifactFile { name: LOG_FILE.to_owned(), content });
    record.files().into_iter().chain(log).collect()
}

/// Does the remote hold the artifact of a key, as far as its pointer and record tell, or with every file read?
pub async fn holds(remote: &Remote, stage: &str, digits: &str, read: bool) -> Result<bool> {
    let Some(pointer) = pointer(remote, stage, digits).await? else { return Ok(false) };
    let copy = Copy::open(remote, stage, pointer).await?;
    if read {
        copy.read_back(remote).await?;
    }
    Ok(true)
}

/// Runs one question after another, some at a time; the answers come in the order of the questions.
pub async fn ask<T, A, F>(questions: impl IntoIterator<Item = T>, ask: impl Fn(T) -> F) -> Result<Vec<A>>
where
    F: Future<Output = Result<A>>,
{
    stream::iter(questions).map(ask).buffered(FILES).try_collect().await
}
