//! prepare-data: turns a data set, yours or the embedded one, into the tables `dataset` and `mask`
//!
//! The embedded `shapes` is written in VOC's layout and read as any other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::table::{DatasetRow, MaskRow};
use artifact::{ParamError, Part, Result, Row as _};
use data::dataset::CLASSES;
use data::import::{
    self, Imported, Layout, MaskCheck, OrientationRule, Record, Segmentations, Unknown, WithoutAnnotation,
};
use data::shapes::{self, ShapesConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stage::{Contents, Context, Description, Outcome, Stage, Unused, say};

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
    labels: Option<PathBuf>,
    segmentations: Option<Segmentations>,
    val_share: Option<f64>,
    max_side: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Shapes,
    Voc,
    Csv,
    Folders,
    Coco,
}

impl Source {
    /// How files are laid out; none for the embedded data set.
    const fn layout(self) -> Option<Layout> {
        match self {
            Self::Shapes => None,
            Self::Voc => Some(Layout::Voc),
            Self::Csv => Some(Layout::Csv),
            Self::Folders => Some(Layout::Folders),
            Self::Coco => Some(Layout::Coco),
        }
    }
}

impl Params {
    fn shapes(&self) -> Result<&ShapesConfig, ParamError> {
        self.shapes.as_ref().ok_or_else(|| ParamError::new("shapes", "missing, but source = \"shapes\""))
    }

    fn files(&self, layout: Layout) -> Result<import::Source, ParamError> {
        let clone_pair = |(split, list): (&String, &String)| (split.clone(), list.clone());
        let missing = |name: &str| ParamError::new(name, "missing, but the source is a data set of files");
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
            labels: self.labels.clone().filter(|file| !file.as_os_str().is_empty()),
            segmentations: self.segmentations.unwrap_or_default(),
            val_share: self.val_share.unwrap_or_default(),
            max_side: self.max_side.unwrap_or_default(),
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
            "labels",
            "segmentations",
            "val_share",
            "max_side",
        ];
        let of_files = [Source::Voc, Source::Csv, Source::Folders, Source::Coco];
        Description {
            writes: Contents::tables([DatasetRow::TABLE, MaskRow::TABLE]),
            path_params: vec!["root".into(), "labels".into()],
            unused_params: vec![
                Unused::while_is("source", [Source::Shapes], &files),
                Unused::while_is("source", of_files, &["shapes"]),
            ],
            ..Description::new(
                "prepare-data",
                6,
                "turns a data set, yours or the embedded one, into the tables `dataset` and `mask`",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        match params.source.layout() {
            None => params.shapes()?.check().map_err(|error| error.below("shapes").into()),
            Some(layout) => Ok(params.files(layout).map(drop)?),
        }
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let source = match context.params.source.layout() {
            None => {
                let directory = context.work.file("voc");
                let config = context.params.shapes()?;
                shapes::write_voc_layout(&directory, config)?;
                embedded(directory, config)
            }
            Some(layout) => context.params.files(layout)?,
        };
        let progress = context.progress("images", 0, 0);
        let Imported { records, notes, metadata } = import::read(&source, &|done, total| progress.set(done, total))?;
        progress.finish();
        for note in &notes {
            say(&context.name, note);
            context.log.event("note", &json!({ "note": note }))?;
        }
        let metrics = metrics(&records, source.classes.len());
        let classes = serde_json::to_string(&source.classes).expect("names are JSON");
        context.work.declare::<DatasetRow>(1, [(CLASSES.to_owned(), classes)].into())?;
        context.work.declare::<MaskRow>(1, metadata)?;
        let (mut images, mut masks) = (context.work.writer(Part::WHOLE)?, context.work.writer(Part::WHOLE)?);
        for Record { image_id, splits, width, height, labels, image, mask } in records {
            if let Some(mask) = mask {
                masks.push(MaskRow { image_id: image_id.clone(), mask })?;
            }
            images.push(DatasetRow { image_id, splits, width, height, labels, image })?;
        }
        images.finish()?;
        masks.finish()?;
        Ok(Outcome::tables(metrics))
    }
}

/// How many images and masks there are, in all and in each split.
fn metrics(records: &[Record], classes: usize) -> BTreeMap<String, Value> {
    let mut counts = BTreeMap::from([("classes".to_owned(), classes)]);
    for record in records {
        for split in record.splits.iter().map(|split| format!(".{split}")).chain([String::new()]) {
            *counts.entry(format!("images{split}")).or_default() += 1;
            *counts.entry(format!("masks{split}")).or_default() += usize::from(record.mask.is_some());
        }
    }
    counts.into_iter().map(|(name, count)| (name, json!(count))).collect()
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
