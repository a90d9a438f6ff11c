//! prepare-data: turns a data set in VOC's layout, or the embedded one, into the tables `dataset` and `mask`
//!
//! Either a data set in VOC's layout, or the embedded `shapes`, which is written in VOC's layout and read the same way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::table::{DatasetRow, MaskRow};
use artifact::{ParamError, Part, Result, Row as _};
use data::dataset::CLASSES;
use data::shapes::{self, ShapesConfig};
use data::voc::{self, Record, Unknown, VocSource};
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
    unknown_classes: Option<Unknown>,
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

    fn voc(&self) -> Result<VocSource, ParamError> {
        let clone_pair = |(split, list): (&String, &String)| (split.clone(), list.clone());
        let missing = |name: &str| ParamError::new(name, "missing, but source = \"voc\"");
        Ok(VocSource {
            root: self.root.clone().ok_or_else(|| missing("root"))?,
            classes: self.classes.clone().ok_or_else(|| missing("classes"))?,
            // An empty path takes away a split that an extended manifest names.
            splits: self.splits.iter().flatten().filter(|(_, list)| !list.is_empty()).map(clone_pair).collect(),
            unlabelled: self.unlabelled.clone().unwrap_or_default(),
            masks: self.masks.clone().filter(|masks| !masks.is_empty()),
            mask_classes: self.mask_classes.clone().filter(|classes| !classes.is_empty()),
            unknown_classes: self.unknown_classes.ok_or_else(|| missing("unknown_classes"))?,
        })
    }
}

impl Stage for PrepareData {
    type Params = Params;

    fn description() -> Description {
        let voc = ["root", "classes", "splits", "unlabelled", "masks", "mask_classes", "unknown_classes"];
        Description {
            writes: Contents::tables([DatasetRow::TABLE, MaskRow::TABLE]),
            path_params: vec!["root".into()],
            unused_params: vec![
                Unused::while_is("source", [Source::Shapes], &voc),
                Unused::while_is("source", [Source::Voc], &["shapes"]),
            ],
            ..Description::new(
                "prepare-data",
                6,
                "turns a data set in VOC's layout, or the embedded one, into the tables `dataset` and `mask`",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        match params.source {
            Source::Shapes => params.shapes()?.check().map_err(|error| error.below("shapes").into()),
            Source::Voc => Ok(params.voc().map(drop)?),
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
            Source::Voc => context.params.voc()?,
        };
        let progress = Progress::new(&context.name, "images", 0, 0);
        let records = voc::read(&source, &|done, total| progress.set(done, total))?;
        progress.finish();
        let masks = records.iter().filter(|record| record.mask.is_some()).count();
        let metrics =
            [("images", json!(records.len())), ("masks", json!(masks)), ("classes", json!(source.classes.len()))];
        let classes = serde_json::to_string(&source.classes).expect("names are JSON");
        context.work.declare::<DatasetRow>(1, [(CLASSES.to_owned(), classes)].into())?;
        context.work.declare::<MaskRow>(1, BTreeMap::new())?;
        let (mut images, mut masks) = (context.work.writer(Part::WHOLE)?, context.work.writer(Part::WHOLE)?);
        for Record { image_id, splits, width, height, labels, image, mask } in records {
            if let Some(mask) = mask {
                masks.push(MaskRow { image_id: image_id.clone(), mask })?;
            }
            images.push(DatasetRow { image_id, splits, width, height, labels, image })?;
        }
        images.finish()?;
        masks.finish()?;
        Ok(Outcome::tables(metrics.map(|(name, value)| (name.to_owned(), value)).into()))
    }
}

/// What the embedded data set is in VOC's terms.
fn embedded(root: PathBuf, config: &ShapesConfig) -> VocSource {
    let list = |split: &str| (split.to_owned(), format!("ImageSets/Segmentation/{split}.txt"));
    VocSource {
        root,
        classes: shapes::CLASSES.map(str::to_owned).into(),
        splits: ["train", "val"]
            .into_iter()
            .chain((config.images_closeup > 0).then_some("closeup"))
            .map(list)
            .collect(),
        unlabelled: vec![],
        masks: Some("SegmentationClass".into()),
        mask_classes: None,
        unknown_classes: Unknown::Refuse,
    }
}

fn main() -> ExitCode {
    stage::main::<PrepareData>()
}
