//! Parquet files: writing one part of a table, reading rows back.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::{PartRecord, file_digest, sync_dir, temporary_name, write_atomically};
use crate::{Error, Result, Row};

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

    pub(super) fn file(self, dir: &str) -> String {
        format!("{dir}/part-{:05}-of-{:05}.parquet", self.index, self.count)
    }
}

/// Writes one part of a table. What is not finished leaves nothing behind but a temporary file.
pub struct TableWriter<R: Row> {
    writer: ArrowWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
    done: PathBuf,
    file: String,
    pending: Vec<R>,
    rows: u64,
    digest: RowsDigest,
}

impl<R: Row> TableWriter<R> {
    pub(super) fn create(work: &Path, dir: &str, part: Part, metadata: &BTreeMap<String, String>) -> Result<Self> {
        let file = part.file(dir);
        let (path, done) = (work.join(&file), done_file(work, R::TABLE, part));
        for parent in [&path, &done].into_iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        }
        let temporary = temporary_name(&path);
        let output = File::create(&temporary).map_err(Error::io("create", &temporary))?;
        let about =
            [("table", R::TABLE.to_owned()), ("version", R::VERSION.to_string())].map(|(k, v)| (k.to_owned(), v));
        let entries = about.into_iter().chain(metadata.clone());
        let entries = entries.map(|(name, value)| KeyValue::new(format!("camflow.{name}"), value)).collect();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("zstd has a level 3")))
            .set_dictionary_enabled(R::ROWS_PER_GROUP > 1024)
            .set_key_value_metadata(Some(entries))
            .set_created_by("camflow".to_owned())
            .build();
        let writer = ArrowWriter::try_new(output, R::schema(), Some(properties)).map_err(parquet_error(&path))?;
        let digest = RowsDigest::default();
        Ok(Self { writer, temporary, path, done, file, pending: Vec::new(), rows: 0, digest })
    }

    /// Adds a row; rows come in the order of their image ids.
    pub fn push(&mut self, row: R) -> Result<()> {
        self.digest.add(&row.digest());
        self.rows += 1;
        self.pending.push(row);
        if self.pending.len() == R::ROWS_PER_GROUP { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> Result<()> {
        let batch = R::batch(&std::mem::take(&mut self.pending));
        self.writer.write(&batch).and_then(|()| self.writer.flush()).map_err(parquet_error(&self.path))
    }

    /// Makes the part durable and records it as done.
    pub fn finish(mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.write_group()?;
        }
        let output = self.writer.into_inner().map_err(parquet_error(&self.path))?;
        output.sync_all().map_err(Error::io("sync", &self.temporary))?;
        let bytes = output.metadata().map_err(Error::io("read", &self.temporary))?.len();
        let blake3 = file_digest(&self.temporary)?;
        fs::rename(&self.temporary, &self.path).map_err(Error::io("rename", &self.temporary))?;
        sync_dir(self.path.parent().expect("a part lies in a directory"))?;
        let record = PartRecord { file: self.file, rows: self.rows, bytes, blake3, rows_digest: self.digest.to_hex() };
        write_atomically(&self.done, &serde_json::to_vec(&record).expect("a record is JSON"))
    }
}

/// The record whose presence says that a part is done.
pub(super) fn done_file(work: &Path, table: &str, part: Part) -> PathBuf {
    work.join(format!("done/{table}-{:05}-of-{:05}.json", part.index, part.count))
}

fn parquet_error(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> Error + use<> {
    let path = path.display().to_string();
    move |error| Error::Failed(format!("cannot write {path}: {error}"))
}

/// Sum modulo 2^256 of 256-bit row digests: parts merge by addition, and their number leaves no trace.
#[derive(Clone, Copy, Default)]
pub(super) struct RowsDigest([u64; 4]);

impl RowsDigest {
    fn add(&mut self, digest: &[u8; 32]) {
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
        self.0.iter().rev().map(|word| format!("{word:016x}")).collect()
    }

    pub(super) fn from_hex(hex: &str) -> Option<Self> {
        let mut words = [0; 4];
        for (i, word) in words.iter_mut().rev().enumerate() {
            *word = u64::from_str_radix(hex.get(i * 16..(i + 1) * 16)?, 16).ok()?;
        }
        Some(Self(words))
    }
}

/// The rows of a table, part after part, decoded as they are asked for.
pub struct Rows<R> {
    parts: VecDeque<PathBuf>,
    without: Vec<String>,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
    batch: Option<(RecordBatch, usize)>,
    row: PhantomData<R>,
}

impl<R: Row> Rows<R> {
    pub(super) fn new(parts: VecDeque<PathBuf>, without: &[&str]) -> Self {
        let without = without.iter().map(|name| (*name).to_owned()).collect();
        Self { parts, without, current: None, batch: None, row: PhantomData }
    }

    fn open(&self, path: &Path) -> Result<ParquetRecordBatchReader> {
        let damaged = damaged(path);
        let file = File::open(path).map_err(Error::io("open", path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&damaged)?;
        let schema = R::schema();
        for (expected, found) in schema.fields().iter().zip(builder.schema().fields()) {
            if expected.name() != found.name() || expected.data_type() != found.data_type() {
                let message = format!("column '{}' where '{}' is expected", found.name(), expected.name());
                return Err(damaged(parquet::errors::ParquetError::General(message)));
            }
        }
        let kept = schema.fields().iter().enumerate().filter(|(_, field)| !self.without.contains(field.name()));
        let mask = ProjectionMask::roots(builder.parquet_schema(), kept.map(|(index, _)| index));
        builder.with_projection(mask).with_batch_size(R::ROWS_PER_GROUP).build().map_err(damaged)
    }

    fn advance(&mut self) -> Result<Option<R>> {
        loop {
            if let Some((batch, next)) = &mut self.batch
                && *next < batch.num_rows()
            {
                *next += 1;
                return Ok(Some(R::from_batch(batch, *next - 1)));
            }
            if let Some((path, reader)) = &mut self.current {
                match reader.next() {
                    Some(batch) => {
                        let batch = batch.map_err(|error| damaged(path)(error.into()))?;
                        self.batch = Some((batch, 0));
                        continue;
                    }
                    None => self.current = None,
                }
            }
            let Some(path) = self.parts.pop_front() else { return Ok(None) };
            self.current = Some((path.clone(), self.open(&path)?));
        }
    }
}

fn damaged(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Error + use<> {
    let path = path.display().to_string();
    move |error| Error::NotCommitted(format!("{path}: is damaged ({error})"))
}

impl<R: Row> Iterator for Rows<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
