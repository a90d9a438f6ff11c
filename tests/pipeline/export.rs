//! `camflow export`: files for other programs, read back by other programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use artifact::encoding::{CamEncoding, ENCODING};
use artifact::table::{CamRow, LabelRow};
use artifact::{Artifact, ClassId, ImageId};
use data::codec::{Mask, decode_mask, decode_painted, voc_palette};
use data::import::VOC_CLASSES;
use serde_json::{Value, json};

use crate::peers;
use crate::shop::{HEIGHT, Shop, WIDTH, label};
use crate::world::assert_refused;

fn files(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let found = entries.filter(|entry| entry.file_type().is_file());
    found.map(|file| file.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn labels_are_palette_pngs_named_after_images() {
    let ids = ["2007_000032", "../up", "a/b", "nothing"];
    let shop = Shop::new(&["cat", "dog"], &ids);
    let labels = shop.publish_labels(&ids, &["train-deeplab", "train-deeplab+crf"]);
    let refused = shop.export("labels", &labels, &["out"]);
    assert_refused(&refused, 78, &["there are masks of train-deeplab, train-deeplab+crf; name one"]);
    assert_refused(&shop.export("labels", &labels, &["out", "--source", "cam"]), 78, &["no masks of 'cam'"]);
    assert!(!shop.path("out").exists());

    let facts = shop.exported("labels", &labels, &["out", "--source", "train-deeplab+crf"]);
    assert_eq!((&facts["files"], &facts["unchanged"], &facts["stage"]), (&json!(4), &json!(0), &json!("evaluate")));
    assert_eq!(files(&shop.path("out")), ["%2E%2E/up.png", "2007_000032.png", "a/b.png", "nothing.png"]);
    let painted = decode_painted(&fs::read(shop.path("out/a/b.png")).unwrap()).unwrap();
    assert_eq!(painted.numbers, Mask { height: HEIGHT, width: WIDTH, classes: label(2, 2) });
    assert_eq!(painted.colours, voc_palette());
    fs::write(shop.path("ordinary"), "").unwrap();
    let rights = |file: &str| fs::metadata(shop.path(file)).unwrap().permissions().mode();
    assert_eq!(rights("out/a/b.png"), rights("ordinary"));

    let of_train = shop.exported("labels", &labels, &["train", "--source", "train-deeplab", "--split", "train"]);
    assert_eq!((of_train["files"].as_u64(), files(&shop.path("train"))), (Some(1), vec!["nothing.png".to_owned()]));
    let refused = shop.export("labels", &labels, &["t", "--source", "train-deeplab", "--split", "tran"]);
    assert_refused(&refused, 78, &["--split: the data set has no image in split 'tran'; it has train, val"]);
    assert_refused(&shop.export("npy", &labels, &["t"]), 78, &["has no activation maps"]);
    assert_refused(&shop.export("labels", shop.dataset.as_ref().unwrap(), &["t"]), 78, &["has no masks"]);
}

#[test]
fn what_is_there_stays_unless_it_is_said_otherwise() {
    let ids = ["a", "b", "c"];
    let shop = Shop::new(&["cat", "dog"], &ids);
    let labels = shop.publish_labels(&ids, &["walk"]);
    shop.exported("labels", &labels, &["out"]);
    assert_eq!(shop.exported("labels", &labels, &["out"])["unchanged"], 3);
    fs::remove_file(shop.path("out/a.png")).unwrap();
    assert_eq!(shop.exported("labels", &labels, &["out"])["unchanged"], 2);

    fs::remove_file(shop.path("out/a.png")).unwrap();
    fs::write(shop.path("out/c.png"), "mine").unwrap();
    assert_refused(&shop.export("labels", &labels, &["out"]), 78, &["c.png is there and differs; nothing was written"]);
    assert_eq!(fs::read(shop.path("out/c.png")).unwrap(), b"mine");
    assert!(!shop.path("out/a.png").exists());
    shop.exported("labels", &labels, &["out", "--force"]);
    assert!(decode_mask(&fs::read(shop.path("out/c.png")).unwrap()).is_ok());

    fs::write(shop.path("out/old.png"), "of another export").unwrap();
    let refused = shop.export("labels", &labels, &["out"]);
    assert_refused(&refused, 78, &["holds 1 files that do not belong to this, such as old.png"]);
    assert_refused(&shop.export("labels", &labels, &["out/old.png"]), 78, &["is a file; name a folder"]);
    shop.exported("labels", &labels, &["out", "--force"]);
    assert!(shop.path("out/old.png").exists());
}

#[test]
fn names_that_differ_in_capitals_are_told() {
    let ids = ["b/IMG", "b/img", "c"];
    let shop = Shop::new(&["cat", "dog"], &ids);
    let labels = shop.publish_labels(&ids, &["walk"]);
    let output = shop.export("labels", &labels, &["out"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("'b/IMG' and 'b/img' differ in capitals alone"));
    assert_eq!(files(&shop.path("out")).len(), 3);
}

/// Values in 0..1, another one at each pixel of each map.
fn map(image: usize, class: usize) -> Vec<f32> {
    let value = |pixel: usize| ((image * 31 + class * 17 + pixel * 7) % 101) as f32 / 100.0;
    (0..HEIGHT * WIDTH).map(value).collect()
}

/// Maps of classes 1 and 3 of three images, and none of an image that shows nothing.
fn publish_cams(shop: &Shop, ids: &[&str], encoding: CamEncoding) -> Artifact {
    let mut rows = Vec::new();
    for (image, id) in ids.iter().enumerate().filter(|(_, id)| **id != "nothing") {
        for class in [1, 3] {
            rows.push(CamRow {
                image_id: ImageId::new(id).unwrap(),
                class_id: ClassId(class),
                class: "named".into(),
                height: HEIGHT as u32,
                width: WIDTH as u32,
                cam: encoding.encode(&map(image, usize::from(class)), WIDTH),
                ..CamRow::default()
            });
        }
    }
    let metadata = [(ENCODING, encoding.name().to_owned())];
    shop.publish("extract-msinf-cam", json!({ "splits": ["val", "train"], "of": encoding.name() }), &metadata, rows)
}

/// An entry of a dict as NumPy sees it.
fn entry(key: impl Into<Value>, tensor: bool, dtype: &str, shape: &[usize], bytes: &[u8]) -> Value {
    json!([key.into(), { "tensor": tensor, "dtype": dtype, "shape": shape, "bytes": bytes }])
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn numpy_reads_the_dicts_of_psa_seam_and_irn() {
    let ids = ["2007_000032", "a/b", "nothing", "z"];
    let shop = Shop::new(&["cat", "cow", "dog"], &ids);
    for encoding in CamEncoding::ALL {
        let cams = publish_cams(&shop, &ids, encoding);
        let stored = |image, class| encoding.decode(&encoding.encode(&map(image, class), WIDTH), WIDTH);
        let dicts = |style: &str| -> Vec<Value> {
            let dir = format!("{style}-{}", encoding.name());
            let facts = shop.exported("npy", &cams, &[&dir, "--style", style]);
            assert_eq!((&facts["files"], &facts["style"]), (&json!(4), &json!(style)));
            let files = ids.map(|id| shop.path(&format!("{dir}/{id}.npy")));
            serde_json::from_str(&peers::python("arrays.py", &[], &json!(files).to_string())).unwrap()
        };
        let shape = [HEIGHT, WIDTH];
        for style in ["psa", "seam"] {
            let of = |image: usize| {
                json!([1, 3].map(|class| { entry(class - 1, false, "<f4", &shape, &bytes(&stored(image, class))) }))
            };
            assert_eq!(dicts(style), [of(0), of(1), json!([]), of(3)], "{style}");
        }
        let irn = dicts("irn");
        for (image, dict) in irn.iter().enumerate() {
            let maps = if image == 2 { vec![] } else { vec![stored(image, 1), stored(image, 3)] };
            let (count, classes) = (maps.len(), if image == 2 { vec![] } else { vec![0_i64, 2] });
            let keys: Vec<u8> = classes.iter().flat_map(|class| class.to_le_bytes()).collect();
            assert_eq!(dict[0], entry("keys", false, "<i8", &[count], &keys));
            assert_eq!(dict[2], entry("high_res", false, "<f4", &[count, HEIGHT, WIDTH], &bytes(&maps.concat())));
            let small: Vec<f32> = maps.iter().flat_map(|map| strided(map)).collect();
            assert_eq!((&dict[1][0], &dict[1][1]["shape"]), (&json!("cam"), &json!([count, 2, 2])));
            assert_eq!((&dict[1][1]["tensor"], &dict[1][1]["dtype"]), (&json!(true), &json!("<f4")));
            let found: Vec<u8> = serde_json::from_value(dict[1][1]["bytes"].clone()).unwrap();
            let found: Vec<f32> = found.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
            assert_eq!(found.len(), small.len());
            assert!(found.iter().zip(&small).all(|(found, small)| (found - small).abs() < 1e-6), "{found:?} {small:?}");
        }
    }
    let cams = publish_cams(&shop, &ids, CamEncoding::U8);
    shop.exported("npy", &cams, &["of-train", "--split", "train"]);
    assert_eq!(files(&shop.path("of-train")), ["z.npy"]);
    assert_refused(
        &shop.export("npy", &cams, &["x", "--split", "test"]),
        78,
        &["maps of val, train, and none of 'test'"],
    );
}

/// A map at every fourth pixel, [2, 2], bilinear, over its maximum.
fn strided(map: &[f32]) -> Vec<f32> {
    let at = |side: usize, cell: usize| {
        let position = (cell as f32 + 0.5) * side as f32 / 2.0 - 0.5;
        (position as usize, (position as usize + 1).min(side - 1), position.fract())
    };
    let value = |row: usize, column: usize| {
        let ((top, bottom, down), (left, right, over)) = (at(HEIGHT, row), at(WIDTH, column));
        let along = |row: usize| map[row * WIDTH + left] * (1.0 - over) + map[row * WIDTH + right] * over;
        along(top) * (1.0 - down) + along(bottom) * down
    };
    let cells = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(row, column)| value(row, column));
    let most = cells.iter().copied().fold(0.0, f32::max);
    cells.iter().map(|cell| cell / (most + 1e-5)).collect()
}

#[test]
fn a_submission_has_vocs_layout_and_no_void() {
    let ids = ["2007_000032", "2007_000039", "2007_000061", "2008_000001"];
    let shop = Shop::new(&VOC_CLASSES, &ids);
    let void = shop.publish_labels(&ids[..3], &["train-deeplab"]);
    let refused = shop.export("voc-submission", &void, &["s.tar", "--split", "val"]);
    assert_refused(&refused, 65, &["has pixels of class 255; VOC's server takes 0 to 20"]);
    let whole = |id: &str, class| LabelRow {
        image_id: ImageId::new(id).unwrap(),
        height: HEIGHT as u32,
        width: WIDTH as u32,
        source: "train-deeplab".into(),
        label: vec![class; HEIGHT * WIDTH],
    };
    let rows = vec![whole(ids[0], 0), whole(ids[1], 20), whole(ids[2], 7)];
    let labels = shop.publish("evaluate", json!("whole"), &[], rows);
    let facts = shop.exported("voc-submission", &labels, &["s.tar", "--split", "val"]);
    assert_eq!(
        (&facts["files"], &facts["source"], &facts["split"]),
        (&json!(3), &json!("train-deeplab"), &json!("val"))
    );
    let mut archive = tar::Archive::new(fs::File::open(shop.path("s.tar")).unwrap());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (name, mut png) = (entry.path().unwrap().to_str().unwrap().to_owned(), Vec::new());
        std::io::Read::read_to_end(&mut entry, &mut png).unwrap();
        let painted = decode_painted(&png).unwrap();
        assert_eq!(painted.colours, voc_palette());
        found.push((name, painted.numbers.classes[0]));
    }
    let place = |id: &str| format!("results/VOC2012/Segmentation/comp6_val_cls/{id}.png");
    assert_eq!(found, [(place(ids[0]), 0), (place(ids[1]), 20), (place(ids[2]), 7)]);
    let written = fs::read(shop.path("s.tar")).unwrap();
    shop.exported("voc-submission", &labels, &["s.tar", "--split", "val"]);
    assert!(fs::read(shop.path("s.tar")).unwrap() == written);

    fs::write(shop.path("mine.tar"), "mine").unwrap();
    let refused = shop.export("voc-submission", &labels, &["mine.tar", "--split", "val"]);
    assert_refused(&refused, 78, &["mine.tar is there and differs"]);
    let refused = shop.export("voc-submission", &labels, &["t.tar"]);
    assert_refused(&refused, 78, &["--split: the data set has no image in split 'test'"]);
    assert_refused(&shop.export("voc-submission", &labels, &["s.zip", "--split", "val"]), 78, &["is a .tar"]);
    let partial = shop.publish("evaluate", json!("partial"), &[], vec![whole(ids[1], 3)]);
    let refused = shop.export("voc-submission", &partial, &["p.tar", "--split", "val"]);
    assert_refused(&refused, 78, &["2 of the 3 images of val have no mask of train-deeplab, such as '2007_000032'"]);
    assert!(!shop.path("p.tar").exists());
    let other = Shop::new(&["cat", "dog"], &ids);
    let refused = other.export("voc-submission", &other.publish_labels(&ids, &["walk"]), &["o.tar", "--split", "val"]);
    assert_refused(&refused, 78, &["the data set has 2, and class 1 is 'cat' where VOC has 'aeroplane'"]);
}
