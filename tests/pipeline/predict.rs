//! `camflow predict`: the pipeline's own predictions for pictures outside it, out of a store and out of a file alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use artifact::table::{DatasetRow, LabelRow};
use data::codec::{Rgb, decode_image, decode_mask, encode_jpeg, encode_png};
use data::resize::resize_bicubic;
use serde_json::{Value, json};
use wsss::export::Model;

use crate::peers;
use crate::world::{World, assert_refused};

/// A run pipeline, and its pictures of `val` in the folder `pictures`.
fn world() -> World {
    let world = World::new();
    world.run_experiment("rcm+mam", &[]);
    let folder = world.path().join("pictures/below");
    fs::create_dir_all(&folder).unwrap();
    for row in world.latest("prepare-data").rows::<DatasetRow>(&[]).unwrap().map(Result::unwrap) {
        if row.splits.iter().any(|split| split == "val") {
            fs::write(folder.join(format!("{}.jpg", row.image_id)), row.image).unwrap();
        }
    }
    world
}

/// One pipeline serves them all: what takes time is its training.
#[test]
fn pictures_from_outside() {
    let world = world();
    masks_are_those_of_evaluate_and_a_file_is_as_good_as_the_store(&world);
    a_large_picture_gets_a_mask_of_its_size_by_a_look_at_that_of_training(&world);
    a_classifier_draws_the_maps_of_what_it_sees_or_of_what_it_is_asked_for(&world);
    another_program_makes_the_same_masks_of_the_onnx_file(&world);
    bad_pictures_are_named_and_the_others_done(&world);
    nothing_is_overwritten_and_no_word_misread(&world);
    crate::show::side_by_side(&world);
    a_network_is_used_as_the_experiment_last_used_it(&world);
    crate::show::what_is_of_another_data_set_is_left_out(&world);
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_camflow-predict"));
    command.current_dir(world.path()).args(arguments).arg("--manifest").arg(world.manifest());
    command.arg("--store").arg(world.store());
    command
}

fn predict(world: &World, arguments: &[&str]) -> Output {
    command(world, arguments).output().unwrap()
}

/// The lines of JSON.
fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every file below a folder, by its path there.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let found = entries.filter(|entry| entry.file_type().is_file());
    found.map(|file| (file.path().strip_prefix(folder).unwrap().into(), fs::read(file.path()).unwrap())).collect()
}

fn masks_are_those_of_evaluate_and_a_file_is_as_good_as_the_store(world: &World) {
    let said = lines(&predict(world, &["pictures", "--out", "masks", "--crf", "--overlay", "--probabilities"]));
    let plain = lines(&predict(world, &["pictures/below/*.jpg", "--out", "plain"]));
    assert_eq!((said.len(), plain.len()), (2, 2));
    let mut seen = 0;
    for row in world.latest("evaluate").rows::<LabelRow>(&[]).unwrap().map(Result::unwrap) {
        let file = match row.source.as_str() {
            "train-deeplab" => format!("plain/{}.png", row.image_id),
            "train-deeplab+crf" => format!("masks/below/{}.png", row.image_id),
            _ => continue,
        };
        let mask = decode_mask(&fs::read(world.path().join(&file)).unwrap()).unwrap();
        assert_eq!((mask.height, mask.width), (row.height as usize, row.width as usize));
        assert!(mask.classes == row.label, "{file} is another mask than evaluate's");
        seen += 1;
    }
    assert_eq!(seen, 4);
    for line in &said {
        let shares: f64 = line["classes"].as_object().unwrap().values().map(|share| share.as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-5, "{line}");
        for kind in ["mask", "overlay", "probabilities"] {
            assert!(world.path().join(line[kind].as_str().unwrap()).is_file(), "{line}");
        }
    }

    // The same of one file, in a directory with neither manifest nor store.
    let model = Model::of(&world.latest("train-deeplab"), None).unwrap();
    fs::write(world.path().join("deeplab.safetensors"), model.encode(&[]).unwrap()).unwrap();
    let alone = Command::new(env!("CARGO_BIN_EXE_camflow-predict"))
        .current_dir(world.path())
        .args(["pictures", "--out", "alone", "--model", "deeplab.safetensors"])
        .args(["--crf", "--overlay", "--probabilities"])
        .output()
        .unwrap();
    assert_eq!(lines(&alone).len(), 2);
    let [with_store, with_file] = ["masks", "alone"].map(|folder| files(&world.path().join(folder)));
    assert_eq!(with_store.keys().collect::<Vec<_>>(), with_file.keys().collect::<Vec<_>>());
    assert!(with_store == with_file, "a file of the two folders differs");
}

/// The ONNX file of the same network, in a loop of Python over onnxruntime.
fn another_program_makes_the_same_masks_of_the_onnx_file(world: &World) {
    let exported = Command::new(env!("CARGO_BIN_EXE_camflow-export"))
        .current_dir(world.path())
        .args(["model", "train-deeplab", "deeplab.onnx", "--manifest"])
        .arg(world.manifest())
        .arg("--store")
        .arg(world.store())
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    // PNGs: two decoders of JPEG may differ by a grey level.
    let pictures = world.path().join("decoded");
    fs::create_dir(&pictures).unwrap();
    for file in fs::read_dir(world.path().join("pictures/below")).unwrap().map(|entry| entry.unwrap().path()) {
        let picture = decode_image(&fs::read(&file).unwrap()).unwrap();
        fs::write(pictures.join(file.with_extension("png").file_name().unwrap()), encode_png(&picture)).unwrap();
    }
    let said = lines(&predict(world, &["decoded", "--out", "ours", "--flip", "--scales", "1"]));
    let theirs = |picture: &str| world.path().join(Path::new(picture).with_extension("theirs"));
    let tasks: Vec<Value> = said
        .iter()
        .map(|line| line["picture"].as_str().unwrap())
        .map(|picture| json!({"file": world.path().join(picture), "mask": theirs(picture).with_added_extension("png")}))
        .collect();
    let model = world.path().join("deeplab.onnx");
    let task = json!({"model": model, "flip": true, "device": "cpu", "threads": 1, "pictures": tasks});
    peers::python("folder.py", &[], &task.to_string());
    for (line, task) in said.iter().zip(&tasks) {
        let [ours, theirs] = [world.path().join(line["mask"].as_str().unwrap()), task["mask"].as_str().unwrap().into()]
            .map(|file: PathBuf| decode_mask(&fs::read(file).unwrap()).unwrap());
        let differing = ours.classes.iter().zip(&theirs.classes).filter(|(a, b)| a != b).count();
        assert!(ours.classes.len() == theirs.classes.len() && differing == 0, "{line}: {differing} pixels differ");
    }
}

/// Not as whoever used it last of all, who may have tried something.
fn a_network_is_used_as_the_experiment_last_used_it(world: &World) {
    let scales = || Model::of(&world.latest("train-deeplab"), None).unwrap().about.inference.scales;
    world.commit("evaluate", &["--set", "evaluate.deeplab_scales=[2.0]"]);
    assert_eq!(scales(), [2.0]);
    world.commit("evaluate", &[]);
    assert_eq!(scales(), [1.0]);
}

fn bad_pictures_are_named_and_the_others_done(world: &World) {
    let pictures = world.path().join("pictures");
    fs::write(pictures.join("a.jpg"), b"no picture").unwrap();
    let good = fs::read_dir(pictures.join("below")).unwrap().next().unwrap().unwrap().path();
    let mut short = fs::read(&good).unwrap();
    short.truncate(short.len() / 2);
    fs::write(pictures.join("z.jpeg"), short).unwrap();
    fs::write(pictures.join("notes.txt"), "no picture either, and none is looked for here").unwrap();
    fs::write(pictures.join("old.gif"), "GIF89a").unwrap();
    let output = predict(world, &["pictures", "--out", "named"]);
    assert_refused(&output, 65, &["pictures/a.jpg: neither a JPEG nor a PNG", "pictures/z.jpeg: a truncated JPEG"]);
    assert_refused(&output, 65, &["1 neither JPEG nor PNG left out, such as pictures/old.gif", "2 of them failed"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bad: Vec<bool> = said.iter().map(|line| line.get("error").is_some()).collect();
    assert_eq!(bad, [true, false, false, true], "in the order of their names: {said:?}");
    assert_eq!(files(&world.path().join("named")).len(), 2);

    // A link that leads nowhere, and a reader of the lines that has seen enough.
    std::os::unix::fs::symlink("nowhere", pictures.join("link.jpg")).unwrap();
    let mut child = command(world, &["pictures", "--out", "unread"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(65));
    assert_eq!(files(&world.path().join("unread")).len(), 2);
    fs::remove_file(pictures.join("link.jpg")).unwrap();

    // A list on the standard input, one of whose names is no file.
    let list = format!("{}\nnowhere.jpg\n", good.display());
    let output = with_input(world, list.as_bytes(), &["-", "--out", "listed"]);
    assert_refused(&output, 65, &["nowhere.jpg: cannot be read"]);
    assert_eq!(files(&world.path().join("listed")).len(), 1);
    // Names with whatever a name can have, between zeros.
    let odd = pictures.join(std::ffi::OsStr::from_bytes(b"two\nlines \xff.jpg"));
    fs::copy(&good, &odd).unwrap();
    let list = [odd.as_os_str().as_bytes(), b"\0"].concat();
    assert_eq!(lines(&with_input(world, &list, &["-", "--out", "zeros"])).len(), 1);
    fs::remove_file(odd).unwrap();
    // A picture there.
    let output = with_input(world, &fs::read(&good).unwrap(), &["-", "--out", "piped"]);
    assert_eq!(lines(&output)[0]["picture"], "-");
    assert!(world.path().join("piped/stdin.png").is_file());
}

fn with_input(world: &World, input: &[u8], arguments: &[&str]) -> Output {
    let mut child =
        command(world, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn nothing_is_overwritten_and_no_word_misread(world: &World) {
    let pictures = world.path().join("pictures");
    for file in ["a.jpg", "z.jpeg"] {
        fs::remove_file(pictures.join(file)).unwrap();
    }
    fs::create_dir(pictures.join("other")).unwrap();
    let photo = Rgb { height: 40, width: 30, pixels: vec![90; 3600] };
    for name in ["other/a.png", "below/a.jpg"] {
        fs::write(pictures.join(name), encode_png(&photo)).unwrap();
    }
    let refused = |arguments: &[&str], words: &[&str]| assert_refused(&predict(world, arguments), 78, words);
    // What --overlay and --cam make may have the name of a picture as well.
    fs::create_dir_all(pictures.join("other/overlay")).unwrap();
    for name in ["other/overlay/b.jpg", "other/c.star.jpg"] {
        fs::write(pictures.join(name), encode_jpeg(&photo, 90)).unwrap();
    }
    let over = "what is made would take the place of pictures/other";
    refused(&["pictures/other/overlay/*", "--out", "pictures/other", "--overlay"], &[over, "b.jpg"]);
    fs::write(pictures.join("other/c.png"), encode_png(&photo)).unwrap();
    let both = ["pictures/other/c.png", "pictures/other/c.star.jpg"];
    refused(&[both[0], both[1], "--out", "pictures/other", "--cam"], &[over, "c.star.jpg"]);
    for name in ["other/overlay/b.jpg", "other/c.star.jpg", "other/c.png"] {
        fs::remove_file(pictures.join(name)).unwrap();
    }
    let both = ["pictures/other/a.png", "pictures/below/a.jpg"];
    refused(&[both[0], both[1], "--out", "never"], &[both[0], both[1], "would both be made into never/a.png"]);
    refused(&[both[0], "--out", "pictures/other"], &["what is made would take the place of pictures/other/a.png"]);
    refused(&["pictures", "--out", "pictures"], &["--out: pictures is the folder of the pictures"]);
    refused(&["pictures/*.bmp", "--out", "never"], &["'pictures/*.bmp': no file is called so"]);
    refused(&["nowhere.jpg", "--out", "never"], &["there is no picture and no folder nowhere.jpg"]);
    refused(&["pictures", "--out", "never", "--scales", "9"], &["--scales: 9; give one or more from 0.1 to 4"]);
    refused(&["pictures", "--out", "never", "--model", "a.safetensors"], &["--model: there is no file a.safetensors"]);
    refused(&["pictures", "--out", "never", "--model", "train-cam"], &["holds a classifier", "add --cam"]);
    refused(&["pictures", "--out", "never", "--cam", "--classes", "cat"], &["there is no class 'cat'; it knows"]);
    assert!(!world.path().join("never").exists());
    let bare = world.latest("train-deeplab").file("deeplab.safetensors");
    let output = predict(world, &["pictures", "--out", "never", "--model", bare.to_str().unwrap()]);
    assert_refused(&output, 65, &["does not say of which network and classes", "camflow export"]);
    // A file that claims another network than it holds, which would take memory of that size.
    let whole = fs::read(world.path().join("deeplab.safetensors")).unwrap();
    let said = String::from_utf8_lossy(&whole).into_owned();
    let (before, after) = ("\\\"hidden\\\":8}", "\\\"hidden\\\":9}");
    assert!(said.contains(before));
    let place = whole.windows(before.len()).position(|bytes| bytes == before.as_bytes()).unwrap();
    let mut claims = whole;
    claims[place..place + after.len()].copy_from_slice(after.as_bytes());
    fs::write(world.path().join("claims.safetensors"), claims).unwrap();
    let output = predict(world, &["pictures", "--out", "never", "--model", "claims.safetensors"]);
    assert_refused(&output, 65, &["claims.safetensors: its tensors are not those of the network that it names"]);
    // What an earlier call made below the folder is no picture.
    assert_eq!(lines(&predict(world, &["pictures", "--out", "pictures/masks"])).len(), 4);
    refused(&["pictures", "--out", "pictures/masks"], &["pictures/masks/below/", "is there already", "--force"]);
    assert_eq!(lines(&predict(world, &["pictures", "--out", "pictures/masks", "--force"])).len(), 4);
    // What is named twice is looked at once.
    let twice = ["pictures/below/a.jpg", "pictures/below", "./pictures/below/a.jpg", "--out", "once"];
    assert_eq!(lines(&predict(world, &twice)).len(), 3);
    refused(&["pictures", "--out", "never", "--device", "gpu"], &["--device: 'gpu' is no device; use cpu, cuda"]);
}

fn a_large_picture_gets_a_mask_of_its_size_by_a_look_at_that_of_training(world: &World) {
    let small = fs::read_dir(world.path().join("pictures/below")).unwrap().next().unwrap().unwrap().path();
    let small = decode_image(&fs::read(small).unwrap()).unwrap();
    let large = resize_bicubic(&small, small.height * 8, small.width * 8);
    fs::write(world.path().join("large.jpg"), encode_jpeg(&large, 95)).unwrap();
    fs::write(world.path().join("small.png"), encode_png(&small)).unwrap();
    let said = lines(&predict(world, &["large.jpg", "small.png", "--out", "sizes", "--probabilities"]));
    let classes: Vec<BTreeMap<String, f64>> =
        said.iter().map(|line| serde_json::from_value(line["classes"].clone()).unwrap()).collect();
    let mask = decode_mask(&fs::read(world.path().join("sizes/large.png")).unwrap()).unwrap();
    assert_eq!((mask.height, mask.width), (large.height, large.width));
    for (class, share) in &classes[1] {
        let found = classes[0].get(class).copied().unwrap_or(0.0);
        assert!((found - share).abs() < 0.02, "{class}: {found} in the large picture, {share} in the small");
    }
    let header = fs::read(world.path().join("sizes/probabilities/large.npy")).unwrap();
    let shape = format!("({}, {}, {})", 7, small.height, small.width);
    assert!(String::from_utf8_lossy(&header[..128]).contains(&shape), "{shape}");
}

fn a_classifier_draws_the_maps_of_what_it_sees_or_of_what_it_is_asked_for(world: &World) {
    let said = lines(&predict(world, &["pictures", "--out", "cams", "--cam"]));
    for line in &said {
        let probabilities = line["probabilities"].as_object().unwrap();
        assert_eq!(probabilities.len(), 6);
        let drawn = line["cams"].as_object().unwrap();
        let seen = probabilities.iter().filter(|(_, likely)| likely.as_f64().unwrap() > 0.5).count();
        assert_eq!(drawn.len(), seen.max(1), "{line}");
        for file in drawn.values() {
            let bytes = fs::read(world.path().join(file.as_str().unwrap())).unwrap();
            let drawn = decode_image(&bytes).unwrap();
            assert_eq!((drawn.height, drawn.width), (64, 64));
        }
    }
    let said = lines(&predict(world, &["pictures", "--out", "asked", "--cam", "--classes", "ring,star"]));
    assert_eq!(said[0]["cams"].as_object().unwrap().keys().collect::<Vec<_>>(), ["ring", "star"]);
}
