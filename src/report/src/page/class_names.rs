//! The names of a data set's classes.

use artifact::Row as _;
use artifact::table::DatasetRow;

use crate::holdings::Holding;

/// Names of the classes, the background first.
pub(super) struct ClassNames(Vec<String>);

impl ClassNames {
    /// Those of a data set.
    pub fn of(dataset: &Holding) -> Self {
        let table = dataset.artifact.record().tables.get(DatasetRow::TABLE);
        let metadata = table.and_then(|table| table.metadata.get("classes"));
        let foreground: Vec<String> = metadata.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
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
