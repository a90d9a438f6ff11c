//! The names of a data set's classes.

use data::dataset::classes;

use crate::holdings::Holding;

/// Names of the classes, the background first.
pub(super) struct ClassNames(Vec<String>);

impl ClassNames {
    /// Those of a data set.
    pub fn of(dataset: &Holding) -> Self {
        // Without names they are told by number.
        let foreground = classes(&dataset.artifact).unwrap_or_default();
        Self(std::iter::once("background".to_owned()).chain(foreground).collect())
    }

    /// The name of a class.
    pub fn name(&self, class: u8) -> String {
        self.0.get(class as usize).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// Number of classes, the background included.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The classes with their names.
    pub fn all(&self) -> impl Iterator<Item = (u8, &str)> {
        self.0.iter().enumerate().map(|(class, name)| (class as u8, name.as_str()))
    }
}
