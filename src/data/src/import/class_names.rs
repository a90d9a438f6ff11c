//! Class names as tables, folders and annotations write them, with what is to be said of them at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use artifact::ClassId;

use super::fault::quoted;
use super::source::is_background;
use super::tree::compose;
use super::{Source, annotation};

/// What people call pictures without an object of any class, besides the names of the background.
const NOTHING: [&str; 3] = ["none", "negative", "nothing"];
/// Names that a note shows.
const NAMED: usize = 10;

/// Finds classes by name, and counts what it finds.
pub(super) struct ClassNames<'a> {
    source: &'a Source,
    /// What each name was found to be; the class, or that there is none.
    known: HashMap<String, Option<ClassId>>,
    found: BTreeSet<ClassId>,
    ignored: BTreeMap<String, usize>,
}

impl<'a> ClassNames<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, known: HashMap::new(), found: BTreeSet::new(), ignored: BTreeMap::new() }
    }

    /// The class called `name`; none if that says "no class", or is one that the source ignores.
    pub(super) fn find(&mut self, name: &str) -> Result<Option<ClassId>, String> {
        let class = if let Some(class) = self.known.get(name) {
            *class
        } else {
            let class = if self.means_nothing(name) { None } else { annotation::class(self.source, name)? };
            self.found.extend(class);
            if class.is_none() && !self.means_nothing(name) {
                self.ignored.insert(name.to_owned(), 0);
            }
            self.known.insert(name.to_owned(), class);
            class
        };
        if let Some(count) = self.ignored.get_mut(name) {
            *count += 1;
        }
        Ok(class)
    }

    /// Does `name` say that there is no object of any class?
    pub(super) fn means_nothing(&self, name: &str) -> bool {
        !self.is_listed(name) && (is_background(name) || NOTHING.iter().any(|word| word.eq_ignore_ascii_case(name)))
    }

    pub(super) fn is_listed(&self, name: &str) -> bool {
        let name = compose(name);
        self.source.classes.iter().any(|class| compose(class) == name)
    }

    /// Classes that no image has, and names that were ignored.
    pub(super) fn notes(&self) -> Vec<String> {
        let classes = self.source.classes.iter().enumerate();
        let without = classes.filter(|(index, _)| !self.found.contains(&ClassId::from_foreground(*index)));
        let without: Vec<&str> = without.map(|(_, class)| class.as_str()).collect();
        let ignored: Vec<String> =
            self.ignored.iter().map(|(name, count)| format!("{} ({count})", quoted(name))).collect();
        let mut notes = vec![];
        if !without.is_empty() {
            notes.push(format!("no image is labelled with {}", some(&without)));
        }
        if !ignored.is_empty() {
            notes.push(format!("labels that are not in classes are left out: {}", some(&ignored)));
        }
        notes
    }
}

fn some<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(NAMED);
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}
