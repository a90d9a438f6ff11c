//! Is it a store of ours, and does the remote keep conditions?
//!
//! Two pushes that end at the same time agree on what a key holds because the remote refuses to create a pointer that
//! is there. A remote that ignores the condition (`If-None-Match`) would let the later one replace it: then only one
//! push at a time is safe, and whoever gives the command has to say that there is no other.

use artifact::{Error, Result};

use crate::layout::{self, MARKER, Marker};
use crate::remote::Remote;

/// What a push may expect of a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushers {
    /// Others may push at the same time.
    Any,
    /// Nobody else pushes, says the command.
    Alone,
}

/// Is there a store of ours? Fails if a newer camflow laid it out.
pub async fn is_begun(remote: &Remote) -> Result<bool> {
    let path = remote.root.clone().join(MARKER);
    let Some(bytes) = remote.read(&path).await? else { return Ok(false) };
    layout::read::<Marker>(&bytes, &remote.place(&path)).map(|_| true)
}

/// Fails if nothing was ever pushed to a remote.
pub async fn expect_begun(remote: &Remote) -> Result<()> {
    if is_begun(remote).await? {
        return Ok(());
    }
    Err(Error::NotCommitted(format!("{}: nothing was pushed there yet; `camflow push` does", remote.url())))
}

/// Makes sure that a push is safe: writes the marker twice and expects the second time to be refused.
///
/// A damaged marker is written anew where `repair` allows it.
pub async fn begin(remote: &Remote, pushers: Pushers, repair: bool) -> Result<()> {
    let path = remote.root.clone().join(MARKER);
    let begun = match is_begun(remote).await {
        Err(Error::NotCommitted(_)) if repair => remote.remove(&path).await.map(|()| false)?,
        begun => begun?,
    };
    let marker = || {
        let what = "a store of camflow artifacts; see artifacts/README.md of camflow".to_owned();
        layout::write(Marker { what })
    };
    let created = remote.create(&path, marker().into()).await?;
    // Where it was there already, one refusal shows as much as the second of two.
    let again = created && remote.create(&path, marker().into()).await?;
    if !(created && begun || again) || pushers == Pushers::Alone {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{}: this remote ignores conditions (If-None-Match): the same object could be created twice, so two pushes at \
         once could disagree on what a key holds. Nothing was pushed. Say --alone if nobody else pushes now",
        remote.url()
    )))
}
