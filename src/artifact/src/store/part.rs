//! Parquet files: writing one part of a table.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{FileRecord, PartRecord, sync_dir, temporary_name, write_atomically};
use crate::{Error, Result, Row, failpoint};

/// Bytes after which a page ends: less than most pictures and maps have, much more than a row of numbers.
const PAGE: usize = 1 << 16;

/// Part `index` of `count` of a table: a contiguous range of the sorted image ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub index: usize,
    /// How many parts make the table.
    pub count: usize,
}

impl Part {
    /// A table in one file.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The rows of this part when `len` items are divided evenly.
    pub fn range(self, len: usize) -> std::ops::Range<usize> {
        self.index * len / self.count..(self.index + 1) * len / self.count
    }

    /// The table and the part that a file in `done/` stands for.
    pub(super) fn of_done_file(name: &str) -> Option<(&str, Self)> {
        let (rest, count) = name.strip_suffix(".json")?.rsplit_once("-of-")?;
        let (table, index) = rest.rsplit_once('-')?;
        Some((table, Self { index: index.parse().ok()?, count: count.parse().ok()? }))
    }

    pub(super) fn file(self, dir: &str) -> String {
        format!("{dir}/part-{:05}-of-{:05}.parquet", self.index, self.count)
    }
}

/// Writes one part of a table. What is not finished leaves nothing behind but a temporary file.
pub struct TableWriter<R: Row> {
    part: PartWriter,
    pending: Vec<R>,
}

impl<R: Row> TableWriter<R> {
    pub(super) fn create(work: &Path, dir: &str, part: Part, metadata: &BTreeMap<String, String>) -> Result<Self> {
        let layout = Layout {
            table: R::TABLE,
            version: R::VERSION,
            schema: R::schema(),
            group: R::ROWS_PER_GROUP,
            files: R::FILES,
        };
        Ok(Self { part: PartWriter::create(work, dir, part, &layout, metadata)?, pending: Vec::new() })
    }

    /// Adds a row; rows come in the order of their image ids.
    pub fn push(&mut self, row: R) -> Result<()> {
        self.part.digest.add(&row.digest());
        self.pending.push(row);
        if self.pending.len() == R::ROWS_PER_GROUP { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> Result<()> {
        self.part.write(&R::batch(&std::mem::take(&mut self.pending)))
    }

    /// Makes the part durable and records it as done.
    pub fn finish(mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.write_group()?;
        }
        self.part.finish()
    }
}

/// How a table is laid out in Parquet.
struct Layout {
    table: &'static str,
    version: u32,
    schema: SchemaRef,
    group: usize,
    files: &'static [&'static str],
}

impl Layout {
    /// Files are compressed already. What stands beside them is small, and to open a decompressor for it takes longer
    /// than to read it.
    fn compression(&self) -> Compression {
        if self.files.is_empty() {
            Compression::ZSTD(ZstdLevel::try_new(3).expect("zstd has a level 3"))
        } else {
            Compression::UNCOMPRESSED
        }
    }

    fn properties(&self, about: Vec<KeyValue>) -> WriterProperties {
        let mut properties = WriterProperties::builder()
            .set_data_page_size_limit(PAGE)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_compression(self.compression())
            // Dictionaries help repeated names in long tables, not images.
            .set_dictionary_enabled(self.group > 1024)
            .set_key_value_metadata(Some(about))
            .set_created_by("camflow".to_owned());
        for field in self.schema.fields().iter().filter(|field| *field.data_type() == DataType::Binary) {
            // A page a cell where cells are large, so that one is read without the others of its row group: after every
            // row it is seen whether a page is full. Their least and largest bytes tell nobody anything.
            let column = ColumnPath::from(field.name().as_str());
            properties =
                properties.set_column_statistics_enabled(column, EnabledStatistics::None).set_write_batch_size(1);
        }
        for column in self.files {
            properties = properties.set_column_data_page_row_count_limit(ColumnPath::from(*column), 1);
        }
        properties.build()
    }
}

/// The side of [`TableWriter`] that knows no row type: Parquet's code is compiled here once, not in every binary.
struct PartWriter {
    writer: ArrowWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
    done: PathBuf,
    file: String,
    rows: u64,
    digest: RowsDigest,
}

impl PartWriter {
    fn create(
        work: &Path,
        dir: &str,
        part: Part,
        layout: &Layout,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let file = part.file(dir);
        let (path, done) = (work.join(&file), done_file(work, layout.table, part));
        for parent in [&path, &done].into_iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        }
        let temporary = temporary_name(&path);
        failpoint::pass("part.create", &path).map_err(Error::io("create", &path))?;
        let output = File::create(&temporary).map_err(Error::io("create", &temporary))?;
        let about = [("table", layout.table.to_owned()), ("version", layout.version.to_string())];
        let about = about.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(metadata.clone());
        let about = about.map(|(name, value)| KeyValue::new(format!("camflow.{name}"), value)).collect();
        let writer = ArrowWriter::try_new(output, layout.schema.clone(), Some(layout.properties(about)));
        let writer = writer.map_err(parquet_error(&path))?;
        Ok(Self { writer, temporary, path, done, file, rows: 0, digest: RowsDigest::default() })
    }

    /// Writes one row group.
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        failpoint::pass("part.write", &self.path).map_err(Error::io("write", &self.path))?;
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).and_then(|()| self.writer.flush()).map_err(parquet_error(&self.path))
    }

    fn finish(mut self) -> Result<()> {
        self.writer.finish().map_err(parquet_error(&self.path))?;
        failpoint::pass("part.sync", &self.path).map_err(Error::io("sync", &self.path))?;
        let FileRecord { bytes, blake3 } = FileRecord::of(&self.temporary)?;
        let renamed = failpoint::pass("part.rename", &self.path).and_then(|()| fs::rename(&self.temporary, &self.path));
        renamed.map_err(Error::io("rename", &self.temporary))?;
        sync_dir(self.path.parent().expect("a part lies in a directory"))?;
        failpoint::pass("part.record", &self.done).map_err(Error::io("write", &self.done))?;
        let (file, rows_digest) = (std::mem::take(&mut self.file), self.digest.to_hex());
        let record = PartRecord { file, rows: self.rows, bytes, blake3, rows_digest };
        write_atomically(&self.done, &serde_json::to_vec(&record).expect("a record is JSON"))
    }
}

impl Drop for PartWriter {
    /// A part that failed, for example on a full disk, gives its room back.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The record whose presence says that a part is done.
pub(super) fn done_file(work: &Path, table: &str, part: Part) -> PathBuf {
    work.join(format!("done/{table}-{:05}-of-{:05}.json", part.index, part.count))
}

fn parquet_error(path: &Path) -> impl FnOnce(ParquetError) -> Error + use<> {
    let path = path.display().to_string();
    move |error| Error::Failed(format!("cannot write {path}: {error}"))
}

/// Sum modulo 2^256 of 256-bit row digests: parts merge by addition, and their number leaves no trace.
#[derive(Clone, Copy, Default)]
pub(super) struct RowsDigest([u64; 4]);

impl RowsDigest {
    pub(super) fn add(&mut self, digest: &[u8; 32]) {
        let words = std::array::from_fn(|i| u64::from_le_bytes(digest[i * 8..][..8].try_into().expect("eight bytes")));
        self.merge(Self(words));
    }

    pub(super) fn merge(&mut self, other: Self) {
        let mut carry = 0u128;
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            let sum = u128::from(*mine) + u128::from(theirs) + carry;
            (*mine, carry) = (sum as u64, sum >> 64);
        }
    }

    pub(super) fn to_hex(self) -> String {
        let [a, b, c, d] = self.0;
        format!("{d:016x}{c:016x}{b:016x}{a:016x}")
    }

    pub(super) fn from_hex(hex: &str) -> Option<Self> {
        let mut words = [0; 4];
        for (i, word) in words.iter_mut().rev().enumerate() {
            *word = u64::from_str_radix(hex.get(i * 16..(i + 1) * 16)?, 16).ok()?;
        }
        Some(Self(words))
    }
}
