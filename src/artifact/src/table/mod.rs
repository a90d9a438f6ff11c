//! Tables of the store: what a row is, and how a declaration of one becomes schema, reader, writer and digest.
//!
//! ```text
//! rows   every table, declared once
//! ```

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, SchemaRef};
use serde::Serialize;

use crate::cell::CellValue;

/// Metadata of the `curve` table: a rolling hash of all values, the same if and only if the runs were.
pub const LOSS_HASH: &str = "loss_hash";

/// A row of one of the tables above.
pub trait Row: Sized + 'static {
    /// What a row is, in sentences.
    const DOC: &'static [&'static str];
    /// The table's name, also its directory below the artifact (the first table of a stage lies in `data`).
    const TABLE: &'static str;
    /// Rises when a column changes its meaning or is added.
    const VERSION: u32;
    /// The columns that name a row: no two rows of an artifact have the same values there. The experiment is not one of
    /// them, so that the rows of two experiments can be compared.
    const KEY: &'static [&'static str];
    /// Rows of a Parquet row group: small where cells are large, so that one image is read in milliseconds.
    const ROWS_PER_GROUP: usize;
    /// The columns that hold encoded files, such as JPEGs: each cell is a page that is not compressed once more, and
    /// can be read by itself.
    const FILES: &'static [&'static str];

    /// The columns, with their documentation as field metadata.
    fn schema() -> SchemaRef;
    /// Rows to an Arrow batch of [`Row::schema`].
    fn batch(rows: &[Self]) -> RecordBatch;
    /// Row `index` of a batch; a column that was not read gives its default (an empty image).
    fn from_batch(batch: &RecordBatch, index: usize) -> Self;
    /// BLAKE3 over the row's values, independent of file, row group and codec.
    fn digest(&self) -> [u8; 32];
    /// The columns with their values.
    fn into_cells(self) -> Cells;
}

/// The columns of a row with their values, in the order of the schema.
pub type Cells = Vec<(&'static str, CellValue)>;

/// What can be done with the rows of any table.
pub trait Visitor {
    /// What comes of it.
    type Output;
    /// Does it.
    fn visit<R: Row>(self) -> Self::Output;
}

/// A table as it is declared.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub doc: String,
    /// The version of its schema.
    pub version: u32,
    /// The columns that name a row.
    pub key: &'static [&'static str],
    /// Its columns in their order, each with what it means as metadata `doc`.
    pub schema: SchemaRef,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type, as text.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it means.
    #[serde(rename = "meaning")]
    pub doc: String,
}

impl Declaration {
    fn of<R: Row>() -> Self {
        Self { name: R::TABLE, doc: sentences(R::DOC), version: R::VERSION, key: R::KEY, schema: R::schema() }
    }

    /// Its columns in their order.
    pub fn columns(&self) -> Vec<Column> {
        let column = |field: &Arc<Field>| Column {
            name: field.name().clone(),
            kind: field.data_type().to_string(),
            doc: field.metadata().get("doc").cloned().unwrap_or_default(),
        };
        self.schema.fields().iter().map(column).collect()
    }
}

/// The lines of a documentation as one text, without what only rustdoc needs.
fn sentences(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").replace("\\[", "[").replace("\\]", "]")
}

macro_rules! every_table {
    ($($row:ty)*) => {
        /// Hands the row type of a table to a visitor; `None` where there is no table of this name.
        pub fn visit<V: Visitor>(table: &str, visitor: V) -> Option<V::Output> {
            match table {
                $(<$row>::TABLE => Some(visitor.visit::<$row>()),)*
                _ => None,
            }
        }

        /// All tables.
        pub fn declarations() -> Vec<Declaration> {
            vec![$(Declaration::of::<$row>()),*]
        }
    };
}

every_table! {
    DatasetRow MaskRow CamRow CrfRow SweepRow HistogramRow LabelRow ConfusionRow ClassScoreRow ScoreRow CurveRow
    BenchRow GrowthRow
}

/// A field's name without the `r#` that a Rust keyword such as `fn` needs.
fn column_name(field: &'static str) -> &'static str {
    field.trim_start_matches("r#")
}

macro_rules! table {
    ($(#[doc = $doc:literal])* $name:ident = $table:literal v $version:literal, $group:literal rows a group,
     $(files in $($file:ident)+,)? by $($key:ident)+ {
        $($(#[doc = $field_doc:literal])* $field:ident: $ty:ty,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $ty,)*
        }

        impl Row for $name {
            const DOC: &'static [&'static str] = &[$($doc),*];
            const TABLE: &'static str = $table;
            const VERSION: u32 = $version;
            const KEY: &'static [&'static str] = &[$(stringify!($key)),+];
            const ROWS_PER_GROUP: usize = $group;
            const FILES: &'static [&'static str] = &[$($(stringify!($file)),+)?];

            fn schema() -> SchemaRef {
                let field = |name: &str, data_type, nullable, doc: &[&str]| {
                    let doc = HashMap::from([("doc".to_owned(), sentences(doc))]);
                    Field::new(name, data_type, nullable).with_metadata(doc)
                };
                Arc::new(Schema::new(vec![
                    $(field(column_name(stringify!($field)), <$ty>::data_type(), <$ty>::NULLABLE, &[$($field_doc),*]),)*
                ]))
            }

            fn batch(rows: &[Self]) -> RecordBatch {
                let columns: Vec<ArrayRef> =
                    vec![$(<$ty>::array(&rows.iter().map(|row| &row.$field).collect::<Vec<_>>()),)*];
                RecordBatch::try_new(Self::schema(), columns).expect("cells match the schema they come from")
            }

            fn from_batch(batch: &RecordBatch, index: usize) -> Self {
                let column = |name: &str| batch.column_by_name(name).map(|array| array.as_ref() as &dyn Array);
                Self {
                    $($field: column(column_name(stringify!($field)))
                        .map(|array| <$ty>::get(array, index))
                        .unwrap_or_default(),)*
                }
            }

            fn digest(&self) -> [u8; 32] {
                let mut hasher = blake3::Hasher::new();
                $(self.$field.hash(&mut hasher);)*
                hasher.finalize().into()
            }

            fn into_cells(self) -> Cells {
                vec![$((column_name(stringify!($field)), self.$field.into_value()),)*]
            }
        }
    };
}

mod rows;

pub use rows::*;
