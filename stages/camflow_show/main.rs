//! `camflow show`: what the pipeline made of an image, side by side. Reads the store; writes one PNG, or shows it in
//! the terminal.
//!
//! ```text
//! whole_file     files that are there whole or not at all
//! holdings       the artifacts of an experiment that have something to show
//! panels         from their tables to pictures with titles and scores
//! figure         the pictures in rows, with their text
//! ```

mod figure;
mod holdings;
mod panels;
#[path = "../whole_file.rs"]
mod whole_file;

use std::io::{ErrorKind, IsTerminal as _, Write as _, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifact::error::exit;
use artifact::{Error, ImageId, Result};
use clap::Parser;
use command_line::ArtifactArgs;
use data::codec::{Rgb, encode_png};
use serde_json::json;

use self::holdings::Holdings;
use self::panels::Panel;

/// Shows the picture of an image, its CAMs, pseudo-labels, predictions and ground truth side by side, with scores.
///
/// Where the terminal can show pictures (kitty, iTerm2, sixel) the figure appears there, else it goes to a PNG. Each
/// image has a row. Below a label stands its IoU, the mean over the classes that it or the ground truth has in this
/// picture; below a CAM the IoU of its class at the threshold of threshold-sweep.
#[derive(Debug, Parser)]
#[command(name = "camflow-show", bin_name = "camflow show", version, after_help = exit::HELP)]
struct Args {
    /// The images, by their names in the data set.
    #[arg(required = true, value_name = "IMAGE_ID")]
    images: Vec<String>,
    /// The PNG to write, instead of showing it in the terminal [default elsewhere: show_ and the first image's name].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the titles and the IoU below each as JSON, a line an image; the figure is drawn for --out alone.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: ArtifactArgs,
}

fn main() -> ExitCode {
    command_line::run("camflow show", |args: &Args| run(args).map(|()| 0))
}

fn run(args: &Args) -> Result<()> {
    let images = args.images.iter().map(|image| ImageId::new(image)).collect::<Result<Vec<_>>>()?;
    let holdings = Holdings::open(&args.place.place())?;
    let rows = panels::rows(&holdings, &images)?;
    if args.json {
        say(&args.images, &rows)?;
        if args.out.is_none() {
            return Ok(());
        }
    }
    let figure = figure::draw(&rows);
    if args.out.is_none() && stdout().is_terminal() && is_graphical() {
        return show(figure);
    }
    if let Some(file) = args.out.as_ref().filter(|file| file.extension().is_none_or(|e| !e.eq_ignore_ascii_case("png")))
    {
        return Err(Error::Config(format!("--out: a figure is a PNG; end {} so", file.display())));
    }
    let file = args.out.clone().unwrap_or_else(|| {
        let name = Path::new(&args.images[0]).file_name().unwrap_or("image".as_ref());
        // No picture and no mask of the data set is called so.
        PathBuf::from(format!("show_{}.png", name.to_string_lossy()))
    });
    whole_file::write(&file, &encode_png(&figure))?;
    if args.json { Ok(()) } else { print(&file.display().to_string()) }
}

/// Prints what stands in the figure as text.
fn say(images: &[String], rows: &[Vec<Panel>]) -> Result<()> {
    for (image, row) in images.iter().zip(rows) {
        let panels: Vec<_> = row.iter().map(|panel| json!({"title": panel.title, "iou": panel.iou})).collect();
        print(&json!({"image": image, "panels": panels}).to_string())?;
    }
    Ok(())
}

/// A line on the standard output. A reader that has gone has seen enough.
fn print(line: &str) -> Result<()> {
    match writeln!(stdout(), "{line}") {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Io { action: "cannot write to the standard output".to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Does the terminal show pictures? Only those are asked that are known to answer: one that does not would be waited
/// for without end.
fn is_graphical() -> bool {
    let variable = |name: &str| std::env::var(name).unwrap_or_default().to_lowercase();
    let (term, program) = (variable("TERM"), variable("TERM_PROGRAM"));
    let answers = ["kitty", "ghostty", "foot", "mlterm", "contour", "sixel", "wezterm", "iterm", "mintty", "konsole"];
    let is_known = answers.iter().any(|name| term.contains(name) || program.contains(name));
    is_known
        && stdin().is_terminal()
        && (!matches!(viuer::get_kitty_support(), viuer::KittySupport::None)
            || viuer::is_iterm_supported()
            || viuer::is_sixel_supported())
}

fn show(figure: Rgb) -> Result<()> {
    let Rgb { height, width, pixels } = figure;
    let picture = image::RgbImage::from_raw(width as u32, height as u32, pixels).expect("a figure is full");
    let here = viuer::Config { absolute_offset: false, ..viuer::Config::default() };
    let shown = viuer::print(&image::DynamicImage::ImageRgb8(picture), &here);
    shown.map(drop).map_err(|why| Error::Failed(format!("the terminal does not take the picture: {why}; give --out")))
}
