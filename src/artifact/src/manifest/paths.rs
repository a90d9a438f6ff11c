//! Paths of the manifest as people write them: `~/data`, `$HOME/data`, `${DATA}/voc`.

use std::path::PathBuf;

use serde_json::Value;

use super::StagePlan;
use crate::{Error, Result, dotted};

/// Puts the home directory in the place of a `~` at the beginning, and values of environment variables in the place of
/// `$NAME` and `${NAME}`; `$$` is a dollar. `place` says where the path stands.
pub(super) fn expand(text: &str, place: &str) -> Result<String> {
    expand_with(text, |name| std::env::var(name).ok().filter(|value| !value.is_empty())).map_err(|name| {
        Error::Config(format!(
            "{place}: '{text}' needs the environment variable {name}, which is not set; set it, or write the path out"
        ))
    })
}

/// The same with a source of variables; the error is the name of one that it does not have.
fn expand_with(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let value = |name: &str| variable(name).ok_or_else(|| name.to_owned());
    let mut rest = text;
    let mut path = String::new();
    if let Some(below) = text.strip_prefix('~').filter(|below| below.is_empty() || below.starts_with('/')) {
        path = value("HOME")?;
        rest = below;
    }
    while let Some((before, after)) = rest.split_once('$') {
        path.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            path.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}')).filter(|(name, _)| is_name(name));
        let length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, after) = braced.unwrap_or(after.split_at(length));
        if is_name(name) {
            path.push_str(&value(name)?);
        } else {
            path.push('$');
            path.push_str(name);
        }
        rest = after;
    }
    path.push_str(rest);
    Ok(path)
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.starts_with(|c: char| !c.is_ascii_digit())
}

impl StagePlan {
    /// The path that a parameter gives; `None` where there is none, or an empty one.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        match dotted::get(&self.params, name) {
            None => Ok(None),
            Some(Value::String(path)) if path.is_empty() => Ok(None),
            Some(Value::String(path)) => expand(path, &self.place(name)).map(|path| Some(path.into())),
            Some(other) => Err(Error::Config(format!("{}: expected a path, found {other}", self.place(name)))),
        }
    }

    /// Writes out the paths that these parameters give.
    pub fn expand_paths(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            if let Some(path) = self.path(name)?
                && let Some(value) = dotted::get_mut(&mut self.params, name)
            {
                *value = Value::String(path.to_string_lossy().into_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_and_variables_are_written_out_and_nothing_else() {
        let variable = |name: &str| {
            let known = [("HOME", "/home/ann"), ("DATA", "/data"), ("v_2", "x")];
            known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        for (text, path) in [
            ("~/voc", "/home/ann/voc"),
            ("~", "/home/ann"),
            ("~ann/voc", "~ann/voc"),
            ("a~/b", "a~/b"),
            ("$HOME/voc", "/home/ann/voc"),
            ("${DATA}/voc", "/data/voc"),
            ("${DATA}2/$v_2", "/data2/x"),
            ("/a/$DATA-old", "/a//data-old"),
            ("costs 5$", "costs 5$"),
            ("$5/$$DATA/${a b}", "$5/$DATA/${a b}"),
            ("plain/ö", "plain/ö"),
        ] {
            assert_eq!(expand_with(text, variable).as_deref(), Ok(path), "{text}");
        }
        for (text, name) in [("$NOWHERE/voc", "NOWHERE"), ("/a/${b}", "b")] {
            assert_eq!(expand_with(text, variable), Err(name.to_owned()), "{text}");
        }
    }
}
