//! `camflow init`: looks at a folder of pictures and labels, says what it found, and writes the manifest that trains on
//! it. Reads that folder; writes the manifest alone.
//!
//! ```text
//! machine        cores and free memory
//! ```

mod machine;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifact::{Error, Result};
use clap::Parser;
use data::import::{Record, Survey, WithoutAnnotation, survey};
use stage::Progress;

/// The manifest that is extended, and where it lies below the repository.
const BASE: &str = "stages/manifests/photographs.toml";
/// The weights that it names.
const WEIGHTS: &str = ".weights/efficientnet_lite0.pth";
/// Longest side of a picture that is used as it is, in pixels: VOC's.
const LONGEST: u32 = 500;
/// Optimiser steps that the trainings of photographs.toml have on VOC's six classes: CAMs, affinities, DeepLab.
const STEPS: [usize; 3] = [750, 150, 1500];
/// Bytes that a training takes for each pixel of its batch: MainNet and SupportNet on 16 crops of 128 x 128 pixels were
/// seen to take 1.6 GB, 6 KB a pixel.
const BYTES_A_PIXEL: u64 = 6144;
/// Passes over the pictures at most, however few there are.
const MOST_EPOCHS: usize = 60;

/// Looks at a folder of pictures and labels, says what it found, and writes the manifest that trains on it.
///
/// Found are VOC's layout (also as CVAT and Roboflow export it), COCO's instances, tables of paths and labels (csv),
/// and one folder a class. Masks are not needed. Nothing in the folder is changed.
#[derive(Parser)]
#[command(
    name = "camflow-init",
    bin_name = "camflow init",
    version,
    after_help = "Exit codes: 0 the manifest is written; 65 the folder cannot be read as a data set, and every fault \
                  is named; 78 the command line is wrong; 1 anything else."
)]
struct Args {
    /// The folder.
    dir: PathBuf,
    /// The manifest to write, instead of NAME.toml after the folder's name.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite a manifest that is there.
    #[arg(long)]
    force: bool,
}

fn main() -> ExitCode {
    command_line::run("camflow init", |args: &Args| run(args).map(|()| 0))
}

fn run(args: &Args) -> Result<()> {
    let dir = args.dir.canonicalize().map_err(Error::io("open", &args.dir))?;
    let folder = dir.file_name().and_then(|name| name.to_str()).unwrap_or("pictures");
    let name: String =
        folder.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    if output.exists() && !args.force {
        let reason = format!("{} is there already; name another with --output, or give --force", output.display());
        return Err(Error::Config(reason));
    }
    let progress = Progress::new("camflow init", "images", 0, 0);
    let Survey { source, imported, mut notes } = survey(&dir, &|done, total| progress.set(done, total))?;
    progress.finish();
    let imported = imported?;
    notes.extend(imported.notes);
    let facts = Facts::of(&imported.records);
    print!("{}", found(&source, &facts, &notes));
    let base = base()?;
    let text = manifest(&Draft {
        name: &name,
        base: &base,
        source: &source,
        facts: &facts,
        cores: machine::cores(),
        memory: machine::free_memory(),
    });
    std::fs::write(&output, text).map_err(Error::io("write", &output))?;
    println!("\nwritten: {0}\nnext:    camflow run --manifest {0}", output.display());
    if !Path::new(WEIGHTS).is_file() {
        println!("first:   make weights (fetches {WEIGHTS})");
    }
    Ok(())
}

/// What the pictures decide.
struct Facts {
    /// Images, and images with masks, of each split.
    splits: BTreeMap<String, (usize, usize)>,
    /// Images of each class, by index.
    classes: Vec<usize>,
    background: usize,
    /// Longest sides: the shortest, the median and the longest of them.
    sides: [u32; 3],
}

impl Facts {
    fn of(records: &[Record]) -> Self {
        let mut facts = Self { splits: BTreeMap::new(), classes: vec![0; 255], background: 0, sides: [0; 3] };
        for record in records {
            for split in &record.splits {
                let (images, masks) = facts.splits.entry(split.clone()).or_default();
                *images += 1;
                *masks += usize::from(record.mask.is_some());
            }
            record.labels.iter().filter_map(|class| class.foreground()).for_each(|class| facts.classes[class] += 1);
            facts.background += usize::from(record.labels.is_empty());
        }
        let mut sides: Vec<u32> = records.iter().map(|record| record.width.max(record.height)).collect();
        sides.sort_unstable();
        if let (Some(first), Some(last)) = (sides.first(), sides.last()) {
            facts.sides = [*first, sides[sides.len() / 2], *last];
        }
        facts
    }

    fn images(&self, split: &str) -> usize {
        self.splits.get(split).map_or(0, |(images, _)| *images)
    }

    fn has_masks(&self, split: &str) -> bool {
        self.splits.get(split).is_some_and(|(_, masks)| *masks > 0)
    }
}

/// What was found, for the person who asked.
fn found(source: &data::import::Source, facts: &Facts, notes: &[String]) -> String {
    let mut text = String::new();
    let layout = serde_json::to_value(source.layout).expect("a name is JSON");
    let _ = writeln!(text, "layout   {}", layout.as_str().unwrap_or_default());
    for (split, (images, masks)) in &facts.splits {
        let masks = if *masks == 0 { "no masks".to_owned() } else { format!("{masks} with masks") };
        let from = source.splits.get(split).map_or("held out of train", String::as_str);
        let _ = writeln!(text, "{split:8} {images} images, {masks} ({from})");
    }
    let [shortest, median, longest] = facts.sides;
    let _ = writeln!(text, "sizes    {shortest} to {longest} pixels long, half of them {median} or more");
    let counts = source.classes.iter().zip(&facts.classes).map(|(class, count)| format!("{class} {count}"));
    let _ = writeln!(text, "classes  {}", counts.collect::<Vec<_>>().join(", "));
    if facts.background > 0 {
        let _ = writeln!(text, "         {} images show none of them", facts.background);
    }
    for note in notes {
        let _ = writeln!(text, "note     {note}");
    }
    text
}

/// The manifest that is extended: in the repository in which the program lies, or was built.
fn base() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(Error::io("find", Path::new("camflow-init")))?;
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let found = program.ancestors().skip(1).chain(built).map(|above| above.join(BASE)).find(|base| base.is_file());
    let base = found.ok_or_else(|| {
        let program = program.display();
        Error::Config(format!("{BASE} is in no directory above {program}; keep the programs in the repository"))
    })?;
    base.canonicalize().map_err(Error::io("open", &base))
}

/// What a manifest is written from.
struct Draft<'a> {
    name: &'a str,
    base: &'a Path,
    source: &'a data::import::Source,
    facts: &'a Facts,
    cores: usize,
    /// Bytes that are free, where the system says it.
    memory: Option<u64>,
}

/// The manifest's text.
fn manifest(draft: &Draft) -> String {
    let Draft { name, base, source, facts, .. } = draft;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let list = |items: &[String]| serde_json::Value::from(items).to_string().replace("\",\"", "\", \"");
    let layout = serde_json::to_value(source.layout).expect("a name is JSON");
    let mut text = format!(
        "# Written by `camflow init`. Change what you like: `camflow run` computes anew exactly what depends on it.\n\
         # What stands here is laid over the manifest below, which has every other parameter.\n\
         extends = {}\n\n[pipeline]\nname = {name:?}\nstore = \"artifacts-{name}\"\n\
         device = \"cpu\"            # or cuda\n\n[data]\nsource = {layout}\nroot = {}\nclasses = {}\n",
        quoted(&base.display().to_string()),
        quoted(&source.root.display().to_string()),
        list(&source.classes),
    );
    for (split, file) in &source.splits {
        let _ = writeln!(text, "splits.{} = {}", quoted(split), quoted(file));
    }
    if !source.unlabelled.is_empty() {
        let _ = writeln!(text, "unlabelled = {}    # predicted, never scored", list(&source.unlabelled));
    }
    if source.val_share > 0.0 {
        let _ = writeln!(text, "val_share = {}           # of train is held out as val", source.val_share);
    }
    match &source.masks {
        Some(masks) => _ = writeln!(text, "masks = {}    # for scores alone: no training reads them", quoted(masks)),
        None => _ = writeln!(text, "masks = \"\"                # none: nothing is scored"),
    }
    if let Some(classes) = &source.mask_classes {
        let _ = writeln!(text, "mask_classes = {}", list(classes));
    }
    if source.without_annotation == WithoutAnnotation::Background {
        let _ = writeln!(
            text,
            "without_annotation = \"background\"    # or \"refuse\", if none should lack its annotation"
        );
    }
    if facts.sides[2] > LONGEST {
        let _ = writeln!(text, "max_side = {LONGEST}             # longer pictures are made so long");
    }
    text + &stages(draft)
}

/// What depends on the number and size of the pictures.
fn stages(draft: &Draft) -> String {
    let Draft { facts, cores, memory, .. } = draft;
    let long = facts.sides[1].min(LONGEST) as f64;
    // Of pictures 320 pixels long photographs.toml takes 128, 192 and 256.
    let crop = |share: f64, most: f64| (((share * long / 16.0).round() * 16.0).clamp(48.0, most)) as usize;
    let images = facts.images("train");
    // At most half of the memory that is free: a run may have two trainings side by side.
    let fits = |crop: usize| {
        memory.map_or(usize::MAX, |free| (free / 2 / (crop * crop) as u64 / BYTES_A_PIXEL).max(1) as usize)
    };
    let batch = |most: usize, crop: usize| most.min(images / 2).min(fits(crop)).max(1);
    let epochs = |steps: usize, batch: usize| (steps * batch).div_ceil(images.max(1)).clamp(1, MOST_EPOCHS);
    let [cams, affinities, deeplab] = STEPS;
    let threads = (*cores).min(8);
    let mut text = format!("\n# {images} images to train on, most {long} pixels long; {cores} cores\n");
    for (stage, steps, most, crop) in [
        ("train-cam", cams, 16, crop(0.4, 192.0)),
        ("train-affinity", affinities, 8, crop(0.6, 288.0)),
        ("train-deeplab", deeplab, 8, crop(0.8, 320.0)),
    ] {
        let batch = batch(most, crop);
        let _ = writeln!(
            text,
            "[stage.{stage}]\nloop = {{ epochs = {}, batch_size = {batch}, threads = {threads} }}\n\
             augmentation.crop = {crop}",
            epochs(steps, batch)
        );
    }
    let splits: Vec<&str> = ["train", "val"].into_iter().filter(|split| facts.images(split) > 0).collect();
    let predicted: Vec<&str> = ["val", "test"].into_iter().filter(|split| facts.images(split) > 0).collect();
    let predicted = if predicted.is_empty() { vec!["train"] } else { predicted };
    let choose_on = match (facts.has_masks("train"), facts.has_masks("val")) {
        (true, _) => "\"train\"            # the best threshold on its masks",
        (false, true) => "\"val\"              # the best threshold on its masks",
        (false, false) => "0.3                # no masks to choose it on",
    };
    let _ = write!(
        text,
        "[stage.extract-msinf-cam]\nsplits = {splits:?}\n[stage.threshold-sweep]\nchoose_on = {choose_on}\n\
         [stage.evaluate]\ncam_splits = {splits:?}\ndeeplab_splits = {predicted:?}\n"
    );
    text
}
