//! What the remote holds of some keys. `camflow status --remote` and `camflow gc --pushed` ask it.

use std::collections::BTreeMap;

use artifact::{Error, Result};

use crate::conditions;
use crate::copy;
use crate::named::{Source, Which};

/// Say which of some artifacts the remote holds, as a JSON object of names to true and false
#[derive(Debug, clap::Args)]
pub struct Held {
    #[command(flatten)]
    source: Source,
    /// Read every file of them; one that is damaged is not held
    #[arg(long)]
    read: bool,
}

impl Held {
    /// Answers, by the names as they were given. What is damaged is said on standard error, and not held.
    pub async fn run(&self) -> Result<BTreeMap<String, bool>> {
        let remote = self.source.remote()?;
        let (names, wanted) = (&self.source.names, self.source.there()?);
        if names.len() != wanted.len() {
            return Err(Error::Config("each artifact is named by STAGE:KEY".into()));
        }
        if !conditions::is_begun(&remote).await? {
            return Ok(names.iter().map(|name| (name.clone(), false)).collect());
        }
        let remote = &remote;
        let held = copy::ask(names.iter().zip(wanted), |(name, wanted)| async move {
            let Which::Key(digits) = &wanted.which else {
                return Err(Error::Config(format!("{name}: name it by STAGE:KEY")));
            };
            match copy::holds(remote, &wanted.stage, digits, self.read).await {
                Err(Error::NotCommitted(what)) => {
                    eprintln!("camflow: {what}");
                    Ok((name.clone(), false))
                }
                other => other.map(|held| (name.clone(), held)),
            }
        });
        Ok(held.await?.into_iter().collect())
    }
}
