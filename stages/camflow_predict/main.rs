//! `camflow predict`: masks, or activation maps, for any pictures. Reads a trained network, out of a store or out of
//! one exported file, and the pictures; writes below --out alone.
//!
//! ```text
//! pictures       from the command line to pictures, each with the name of what is made of it
//! whole_file     files that are there whole or not at all
//! masks          what DeepLab makes of a picture
//! cams           what a classifier makes of a picture
//! ```

mod cams;
mod masks;
mod pictures;
#[path = "../whole_file.rs"]
mod whole_file;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use artifact::error::exit;
use artifact::{Error, Numerics, Result, address};
use clap::Parser;
use command_line::ArtifactArgs;
use data::codec::{Rgb, decode_image};
use serde_json::{Map, Value, json};
use stage::{Progress, cores};
use wsss::device;
use wsss::export::{Inference, Model};

use self::cams::Cams;
use self::masks::Masks;
use self::pictures::{Found, Picture, Plan};

/// Makes masks for pictures with a trained DeepLab, or activation maps with a trained classifier (--cam).
///
/// Of each picture a mask goes to DIR, a PNG of the picture's size with class numbers in VOC's colours, and a line of
/// JSON to the standard output: the classes and their shares of the pixels. Bad pictures are named, and the others
/// done.
#[derive(Debug, Parser)]
#[command(
    name = "camflow-predict",
    bin_name = "camflow predict",
    version,
    after_help = format!("{}\n\n{}", address::HELP, exit::HELP)
)]
struct Args {
    /// Pictures (JPEG or PNG), folders of them, patterns such as 'a/*.jpg', or - for the standard input: a picture, or
    /// names one a line.
    #[arg(required = true, value_name = "PICTURE|DIR|GLOB|-")]
    pictures: Vec<PathBuf>,
    /// The folder for what is made; pictures below a folder keep their place in it.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The network: a file of `camflow export model`, or an artifact [default: train-deeplab; train-cam with --cam].
    #[arg(long, value_name = "FILE|ARTIFACT", add = command_line::stages())]
    model: Option<String>,
    /// Draw the activation maps of a classifier over the picture, one file a class.
    #[arg(long)]
    cam: bool,
    /// Classes whose maps are drawn [default: those that the classifier sees, else the likeliest].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "cam")]
    classes: Vec<String>,
    #[command(flatten)]
    extras: masks::Extras,
    /// Scales at which the network looks, instead of those with which it was evaluated.
    #[arg(long, value_name = "FACTOR,…", value_delimiter = ',')]
    scales: Option<Vec<f64>>,
    /// Look at the mirror image too, or not, instead of as it was evaluated.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: Option<bool>,
    /// Look at longer pictures in this length, instead of in that of the longest training picture; 0: as they are.
    #[arg(long, value_name = "PIXELS")]
    max_side: Option<u32>,
    /// Write over what an earlier call made.
    #[arg(long)]
    force: bool,
    /// cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// In which numbers the network computes: f32, tf32 (a GPU's faster 32 bits) or bf16.
    #[arg(long, value_name = "NUMBERS", default_value = "f32")]
    numerics: Numerics,
    #[command(flatten)]
    place: ArtifactArgs,
}

fn main() -> ExitCode {
    command_line::run(NAME, run)
}

/// What messages begin with.
const NAME: &str = "camflow predict";
/// Quality of a JPEG that people look at.
const JPEG_QUALITY: u8 = 90;

/// What a network makes of a picture: writes files, and gives what the picture's line of JSON says of it.
type Make = Box<dyn Fn(usize, &Rgb, &Picture) -> Result<Map<String, Value>> + Sync>;

fn run(args: &Args) -> Result<u8> {
    let model = model(args)?;
    if model.is_unused && args.scales.is_none() {
        let unused =
            "no stage of its store has used this network: it looks at scale 1, without flip unless --flip says so";
        stage::say(NAME, unused);
    }
    let inference = inference(args, &model.about.inference)?;
    let device = device::open_for(&args.device, args.numerics, "--device")?;
    let (make, made): (Make, _) = if args.cam {
        let cams = Cams::new(&model, inference, (device, args.numerics), &args.classes)?;
        let made = cams.made();
        (Box::new(move |worker, photo, picture| cams.draw(worker, photo, picture)), made)
    } else {
        let masks = Masks::new(&model, inference, (device, args.numerics), args.extras)?;
        (Box::new(move |worker, photo, picture| masks.draw(worker, photo, picture)), args.extras.made())
    };
    let Found { pictures, left_out } = pictures::find(&args.pictures, &args.out, &Plan { made, force: args.force })?;
    if let Some(first) = left_out.first() {
        let (count, first) = (left_out.len(), first.display());
        stage::say(NAME, format!("{count} neither JPEG nor PNG left out, such as {first}; convert what is wanted"));
    }
    std::fs::create_dir_all(&args.out).map_err(Error::io("make the folder", &args.out))?;
    let started = Instant::now();
    let Done { failed, code } = all(&pictures, &make)?;
    let (count, seconds) = (pictures.len(), started.elapsed().as_secs_f64());
    let rate = format!("{count} picture{} in {seconds:.1} s, {:.1} a second", plural(count), count as f64 / seconds);
    stage::say(NAME, if failed == 0 { rate } else { format!("{rate}; {failed} of them failed") });
    Ok(code)
}

fn model(args: &Args) -> Result<Model> {
    let place = args.place.place();
    let stored = |name: &str| Model::of(&place.find(name)?, place.link(name)?.as_deref());
    let Some(name) = &args.model else {
        return stored(if args.cam { "train-cam" } else { "train-deeplab" });
    };
    let path = Path::new(name);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "onnx" => Err(Error::Config(format!(
            "{name}: this program reads .safetensors; the ONNX file of a network is for other programs"
        ))),
        "safetensors" if !path.exists() => Err(Error::Config(format!("--model: there is no file {name}"))),
        // A program beside the store may have the name of a stage.
        _ if path.is_file() && !ending.is_empty() => Model::read(path),
        _ => stored(name),
    }
}

/// How the network looks: as it was used, but for what the command line says.
fn inference(args: &Args, used: &Inference) -> Result<Inference> {
    let inference = Inference {
        scales: args.scales.clone().unwrap_or_else(|| used.scales.clone()),
        flip: args.flip.unwrap_or(used.flip),
        max_side: args.max_side.unwrap_or(used.max_side),
        ..used.clone()
    };
    inference.check().map_err(|error| Error::Config(format!("--{error}")))?;
    Ok(inference)
}

/// How it went.
#[derive(Default)]
struct Done {
    /// Pictures that failed.
    failed: usize,
    /// The exit code: that of the first of them.
    code: u8,
}

/// Makes what is to be made of every picture, on all cores; says a line of each, in their order.
fn all(pictures: &[Picture], make: &Make) -> Result<Done> {
    let watched = stderr().is_terminal() && !stdout().is_terminal();
    let progress = watched.then(|| Progress::new("camflow predict", "pictures", 0, pictures.len()));
    let next = AtomicUsize::new(0);
    let (send, done) = channel();
    let done = std::thread::scope(|scope| {
        for worker in 0..cores() {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                while let Some((index, picture)) = at(pictures, next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody listens any more once a line or a file could not be written.
                    if send.send((index, one(worker, picture, make))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        say(pictures, done, progress.as_ref())
    });
    if let Some(progress) = progress {
        progress.finish();
    }
    done
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn at(pictures: &[Picture], index: usize) -> Option<(usize, &Picture)> {
    Some((index, pictures.get(index)?))
}

fn one(worker: usize, picture: &Picture, make: &Make) -> Result<Map<String, Value>> {
    let photo = decode_image(&picture.bytes()?).map_err(|why| Error::Data(why.to_string()))?;
    make(worker, &photo, picture)
}

/// Says what was made of each picture, in their order, as soon as that is known.
fn say(
    pictures: &[Picture],
    done: Receiver<(usize, Result<Map<String, Value>>)>,
    progress: Option<&Progress>,
) -> Result<Done> {
    let (mut waiting, mut next, mut total) = (BTreeMap::new(), 0, Done::default());
    let mut is_read = true;
    for (index, made) in done {
        waiting.insert(index, made);
        while let Some(made) = waiting.remove(&next) {
            let name = pictures[next].name();
            let mut line = Map::from_iter([("picture".to_owned(), json!(name))]);
            match made {
                Ok(facts) => line.extend(facts),
                // A picture is bad alone; where nothing can be written, all are.
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => {
                    let tell = || stage::say(NAME, format!("{name}: {error}"));
                    progress.map_or_else(tell, |progress| progress.suspended(tell));
                    total.code = if total.failed == 0 { error.exit_code() } else { total.code };
                    total.failed += 1;
                    line.insert("error".to_owned(), json!(error.to_string()));
                }
            }
            // Whoever read the lines, such as `head`, may have seen enough; the files are wanted all the same.
            is_read = is_read && writeln!(stdout(), "{}", Value::Object(line)).is_ok();
            next += 1;
            if let Some(progress) = progress {
                progress.advance(1, String::new);
            }
        }
    }
    Ok(total)
}
