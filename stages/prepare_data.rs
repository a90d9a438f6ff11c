//! prepare-data: turns a data set as users have it, or the embedded one, into the table `dataset`
//!
//! The embedded `shapes` is written in VOC's layout and read as any other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::table::DatasetRow;
use artifact::{ParamError, Result, Row as _};
use data::dataset::CLASSES;
use data::import::{self, Imported, Layout, MaskCheck, OrientationRule, Unknown, WithoutAnnotation};
use data::shapes::{self, ShapesConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Contents, Context, Description, Outcome, Progress, Stage, Unused};

struct PrepareData;

/// The manifest's `[data]`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    source: Source,
    shapes: Option<ShapesConfig>,
    root: Option<PathBuf>,
    classes: Option<Vec<String>>,
    splits: Option<BTreeMap<String, String>>,
    unlabelled: Option<Vec<String>>,
    masks: Option<String>,
    mask_classes: Option<Vec<String>>,
    mask_colours: Option<BTreeMap<String, [u8; 3]>>,
    mask_check: Option<MaskCheck>,
    unknown_classes: Option<Unknown>,
    without_annotation: Option<WithoutAnnotation>,
    orientation: Option<OrientationRule>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Shapes,
    Voc,
}

impl Params {
    fn shapes(&self) -> Result<&ShapesConfig, ParamError> {
        self.shapes.as_ref().ok_or_else(|| ParamError::new("shapes", "missing, but source = \"shapes\""))
    }

    fn files(&self, layout: Layout) -> Result<import::Source, ParamError> {
        let clone_pair = |(split, list): (&String, &String)| (split.clone(), list.clone());
        let missing = |name: &str| ParamError::new(name, "missing, but source = \"voc\"");
        Ok(import::Source {
            layout,
            root: self.root.clone().ok_or_else(|| missing("root"))?,
            classes: self.classes.clone().ok_or_else(|| missing("classes"))?,
            // An empty path takes away a split that an extended manifest names.
            splits: self.splits.iter().flatten().filter(|(_, list)| !list.is_empty()).map(clone_pair).collect(),
            unlabelled: self.unlabelled.clone().unwrap_or_default(),
            masks: self.masks.clone().filter(|masks| !masks.is_empty()),
            mask_classes: self.mask_classes.clone().filter(|classes| !classes.is_empty()),
            mask_colours: self.mask_colours.clone().unwrap_or_default(),
            mask_check: self.mask_check.unwrap_or_default(),
            unknown_classes: self.unknown_classes.ok_or_else(|| missing("unknown_classes"))?,
            without_annotation: self.without_annotation.unwrap_or_default(),
            orientation: self.orientation.unwrap_or_default(),
        })
    }
}

impl Stage for PrepareData {
    type Params = Params;

    fn description() -> Description {
        let files = [
            "root",
            "classes",
            "splits",
            "unlabelled",
            "masks",
            "mask_classes",
            "mask_colours",
            "mask_check",
            "unknown_classes",
            "without_annotation",
            "orientation",
        ];
        Description {
            writes: Contents::tables([DatasetRow::TABLE]),
            path_params: vec!["root".into()],
            unused_params: vec![
                Unused::while_is("source", [Source::Shapes], &files),
                Unused::while_is("source", [Source::Voc], &["shapes"]),
            ],
            ..Description::new(
                "prepare-data",
                5,
                "turns a data set as users have it, or the embedded one, into the table `dataset`",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        match params.source {
            Source::Shapes => params.shapes()?.check().map_err(|error| error.below("shapes").into()),
            Source::Voc => Ok(params.files(Layout::Voc).map(drop)?),
        }
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let source = match context.params.source {
            Source::Shapes => {
                let directory = context.work.file("voc");
                let config = context.params.shapes()?;
                shapes::write_voc_layout(&directory, config)?;
                embedded(directory, config)
            }
            Source::Voc => context.params.files(Layout::Voc)?,
        };
        let progress = Progress::new(&context.name, "images", 0, 0);
        let Imported { records, notes } = import::read(&source, &|done, total| progress.set(done, total))?;
        progress.finish();
        for note in &notes {
            eprintln!("{}: {note}", context.name);
            context.log.event("note", &json!({ "note": note }))?;
        }
        let mut metrics = BTreeMap::from([
            ("images".to_owned(), json!(records.len())),
            ("masks".to_owned(), json!(records.iter().filter(|record| record.mask.is_some()).count())),
            ("classes".to_owned(), json!(source.classes.len())),
        ]);
        for record in &records {
            for split in &record.splits {
                for (name, counts) in [("images", true), ("masks", record.mask.is_some())] {
                    let entry = metrics.entry(format!("{name}.{split}")).or_insert_with(|| json!(0));
                    *entry = json!(entry.as_u64().unwrap_or_default() + u64::from(counts));
                }
            }
        }
        let classes = serde_json::to_string(&source.classes).expect("names are JSON");
        context.work.declare::<DatasetRow>(1, [(CLASSES.to_owned(), classes)].into())?;
        context.work.write_all(records.into_iter().map(|record| DatasetRow {
            image_id: record.image_id,
            splits: record.splits,
            width: record.width,
            height: record.height,
            labels: record.labels,
            image: record.image,
            mask: record.mask,
        }))?;
        Ok(Outcome::tables(metrics))
    }
}

/// What the embedded data set is in VOC's terms.
fn embedded(root: PathBuf, config: &ShapesConfig) -> import::Source {
    let list = |split: &str| (split.to_owned(), format!("ImageSets/Segmentation/{split}.txt"));
    let splits = ["train", "val"].into_iter().chain((config.images_closeup > 0).then_some("closeup")).map(list);
    let classes = shapes::CLASSES.map(str::to_owned).into();
    import::Source { masks: Some("SegmentationClass".into()), ..import::Source::voc(root, classes, splits.collect()) }
}

fn main() -> ExitCode {
    stage::main::<PrepareData>()
}
