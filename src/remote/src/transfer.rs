//! One file there and back. A large one goes in pieces, some at a time; what has arrived of it stays for the next
//! attempt.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;

use artifact::store::{ArtifactFile, FileRecord, Incoming};
use artifact::{Error, Result, failpoint};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, WriteMultipart};

use crate::progress::Progress;
use crate::remote::Remote;

/// Files that go at a time.
pub const FILES: usize = 8;
/// Pieces of each that go at a time.
const PIECES: usize = 2;
/// Bytes of a piece: S3 takes ten thousand of them, none but the last below 5 MiB.
const PIECE: u64 = 8 << 20;
/// How often in a row a piece may fail to come; each request is itself tried again several times.
const ATTEMPTS: usize = 3;

/// How much of an object there was to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Whole,
    Nothing,
    AnotherSize,
}

/// Sends a file, and takes the digest of the very bytes that go.
///
/// # Errors
/// [`Error::NotCommitted`] if they are not those of the artifact's record; the object is not written then.
pub async fn send(
    remote: &Remote,
    from: &std::path::Path,
    to: &Path,
    content: &FileRecord,
    progress: &Progress,
) -> Result<()> {
    failpoint::pass("push.file", from).map_err(Error::io("read", from))?;
    let mut file = File::open(from).map_err(Error::io("open", from))?;
    let mut digest = blake3::Hasher::new();
    let mut next = || -> Result<Bytes> {
        let mut piece = Vec::new();
        (&mut file).take(PIECE).read_to_end(&mut piece).map_err(Error::io("read", from))?;
        digest.update(&piece);
        Ok(piece.into())
    };
    let damaged = || {
        Error::NotCommitted(format!("{}: is damaged (its digest differs); nothing of it was pushed", from.display()))
    };
    if content.bytes <= PIECE {
        let piece = next()?;
        let is_whole = piece.len() as u64 == content.bytes && next()?.is_empty();
        if !is_whole || digest.finalize().to_hex().as_str() != content.blake3 {
            return Err(damaged());
        }
        remote.write(to, piece).await?;
        progress.advance(content.bytes);
        return Ok(());
    }
    let failed = |error: object_store::Error| remote.failure(to, &error);
    let upload = remote.objects.put_multipart(to).await.map_err(failed)?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE as usize);
    let mut sent = 0;
    loop {
        let piece = next()?;
        if piece.is_empty() {
            break;
        }
        sent += piece.len() as u64;
        if let Err(error) = upload.wait_for_capacity(PIECES).await {
            let _ = upload.abort().await;
            return Err(failed(error));
        }
        progress.advance(piece.len() as u64);
        upload.put(piece);
    }
    if sent != content.bytes || digest.finalize().to_hex().as_str() != content.blake3 {
        let _ = upload.abort().await;
        return Err(damaged());
    }
    upload.finish().await.map(drop).map_err(failed)
}

/// Does an object hold what it should? Reads it.
pub async fn is_whole(remote: &Remote, path: &Path, content: &FileRecord) -> Result<bool> {
    let mut digest = blake3::Hasher::new();
    if is_there(remote, path, content.bytes).await? != There::Whole {
        return Ok(false);
    }
    let there = read(remote, path, 0..content.bytes, |piece| {
        digest.update(piece);
        Ok(())
    });
    Ok(there.await? == There::Whole && digest.finalize().to_hex().as_str() == content.blake3)
}

/// Fetches a file of an artifact that arrives, from where an earlier attempt ended.
///
/// # Errors
/// [`Error::NotCommitted`] if it is not there, or twice is not what the record says.
pub async fn fetch(
    remote: &Remote,
    from: &Path,
    incoming: &Incoming,
    file: &ArtifactFile,
    progress: &Progress,
) -> Result<()> {
    let mends = "`camflow push --repair` mends it from a store that holds the artifact";
    let place = remote.place(from);
    for _ in 0..2 {
        let start = incoming.arrived(file)?;
        progress.advance(start);
        // A file without bytes is one too.
        incoming.append(file, &[])?;
        let there = read(remote, from, start..file.content.bytes, |piece| {
            progress.advance(piece.len() as u64);
            incoming.append(file, piece)
        });
        match there.await? {
            There::Whole if incoming.accept(file)? => return Ok(()),
            There::Nothing => return Err(Error::NotCommitted(format!("{place}: is not there; {mends}"))),
            There::Whole | There::AnotherSize => {}
        }
    }
    Err(Error::NotCommitted(format!("{place}: is damaged (it is not what the artifact's record says); {mends}")))
}

/// Gives the bytes of a range of an object to `take`, in order. The range ends where the object should. A piece that
/// does not come is asked for again.
async fn read(
    remote: &Remote,
    path: &Path,
    range: Range<u64>,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<There> {
    let (mut at, mut failures, end) = (range.start, 0, range.end);
    // Nothing would be asked for, so ask whether it is there.
    if range.is_empty() {
        return is_there(remote, path, end).await;
    }
    while at < end {
        let ranges = (at..end).step_by(PIECE as usize).map(|from| from..(from + PIECE).min(end));
        let piece = |range: Range<u64>| async move { (range.clone(), piece(remote, path, range, end).await) };
        let mut pieces = stream::iter(ranges).map(piece).buffered(PIECES);
        while let Some((range, piece)) = pieces.next().await {
            match piece {
                Ok(bytes) if bytes.len() as u64 == range.end - range.start => {
                    take(&bytes)?;
                    (at, failures) = (range.end, 0);
                }
                Ok(_) => return Ok(There::AnotherSize),
                Err(error) => {
                    failures += 1;
                    match is_there(remote, path, end).await {
                        Ok(There::Whole) | Err(_) if failures < ATTEMPTS => break,
                        Ok(There::Whole) => return Err(remote.failure(path, &error)),
                        Ok(there) => return Ok(there),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
    Ok(There::Whole)
}

/// One piece of an object. The whole of a small one is asked for as such: not every server answers a range that leaves
/// nothing out as a range.
async fn piece(remote: &Remote, path: &Path, range: Range<u64>, end: u64) -> object_store::Result<Bytes> {
    if range == (0..end) {
        return remote.objects.get(path).await?.bytes().await;
    }
    remote.objects.get_range(path, range).await
}

async fn is_there(remote: &Remote, path: &Path, bytes: u64) -> Result<There> {
    Ok(match remote.size(path).await? {
        None => There::Nothing,
        Some(size) if size == bytes => There::Whole,
        Some(_) => There::AnotherSize,
    })
}
