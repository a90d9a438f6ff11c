//! Readers of other layouts than VOC's: tables, folders of classes, COCO's instances; and splits that are held out.

use std::collections::BTreeMap;

use artifact::ClassId;
use data::codec::{Mask, decode_mask, encode_jpeg, encode_mask};
use data::import::{Layout, Record, Segmentations, Unknown};
use serde_json::{Value, json};

use crate::codec::gradient;
use crate::import::{Fixture, ids};

/// A data set of that layout with these pictures, the classes cat, dog and sheep, and these splits.
fn fixture(layout: Layout, pictures: &[&str], splits: &[(&str, &str)]) -> Fixture {
    let mut f = Fixture::new(&[]);
    f.source.layout = layout;
    f.source.masks = None;
    f.source.splits = splits.iter().map(|(split, file)| ((*split).to_owned(), (*file).to_owned())).collect();
    for picture in pictures {
        f.write(picture, &encode_jpeg(&gradient(8, 8), 90));
    }
    f
}

/// Labels by image id.
fn labels(f: &Fixture) -> BTreeMap<String, Vec<u8>> {
    let of = |record: Record| (record.image_id.as_str().to_owned(), record.labels.iter().map(|class| class.0).collect());
    f.read().unwrap().into_iter().map(of).collect()
}

fn expected<const N: usize>(labels: [(&str, &[u8]); N]) -> BTreeMap<String, Vec<u8>> {
    labels.into_iter().map(|(id, labels)| (id.to_owned(), labels.to_vec())).collect()
}

fn one_fault(f: &Fixture, file: &str, reason: &str) {
    let faults = f.faults();
    let told = faults.len() == 1 && faults[0].starts_with(&format!("{file}: ")) && faults[0].contains(reason);
    assert!(told, "{faults:#?} | {file}: {reason}");
}

fn note(f: &Fixture, part: &str) {
    let notes = f.import().unwrap().notes;
    assert!(notes.iter().any(|note| note.contains(part)), "{notes:#?} | {part}");
}

// Tables

const ABC: [&str; 3] = ["a.jpg", "b.jpg", "c.jpg"];

#[test]
fn labels_in_one_field() {
    let f = fixture(Layout::Csv, &ABC, &[("train", "train.csv")]);
    let want = expected([("a", &[1, 2]), ("b", &[3]), ("c", &[])]);
    for text in [
        "path,labels\na.jpg,cat;dog\nb.jpg,sheep\nc.jpg,\n",
        "\u{feff}File Name;Category\r\na.jpg;cat|dog\r\nb.jpg;sheep\r\nc.jpg;\r\n",
        "image\ttags\na\tcat, dog\nb\tsheep\nc\tbackground\n",
        ",image_id,what\n0,a,\"dog,cat\"\n1,b,sheep\n2,c,\"\"\n",
        "a.jpg,\"['cat', 'dog']\"\nb.jpg,['sheep']\nc.jpg,[]\n",
        "name,class\na.jpg,cat dog\nb.jpg,sheep\nc.jpg,none\n",
        "label,file\ncat,a.jpg\nsheep,b.jpg\ndog,./a.jpg\n,c.jpg\n",
        "sep=;\npath;width;label\na.jpg;8;cat,dog\nb.jpg;8;sheep\nc.jpg;8;\n",
    ] {
        f.write("train.csv", text.as_bytes());
        assert_eq!(labels(&f), want, "{text}");
    }
    note(&f, "train.csv: not read: width");
    let utf16: Vec<u8> = "path,labels\na.jpg,cat\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    f.write("train.csv", &utf16);
    assert_eq!(labels(&f), expected([("a", &[1])]));
    note(&f, "no image is labelled with dog, sheep");
}

#[test]
fn a_column_for_each_class() {
    let mut f = fixture(Layout::Csv, &["train/a.jpg", "train/b.jpg", "a.jpg"], &[("train", "train/_classes.csv")]);
    f.write("train/_classes.csv", b"filename, cat, dog, sheep, Background\na.jpg, 1, 0, 1.0, 0\nb.jpg, 0, 0, 0, 1\n");
    assert_eq!(labels(&f), expected([("train/a", &[1, 3]), ("train/b", &[])]), "a path is one beside the file first");
    f.write("train/_classes.csv", b"filename,cat,dog,sheep\na.jpg,1,2,\nb.jpg,0,0,0\n");
    one_fault(&f, "train/_classes.csv:2", "'2' in the column of 'dog'; write 0 or 1");
    f.write("train/_classes.csv", b"filename,cat,dgo,sheep\na.jpg,1,0,0\n");
    let faults = f.faults();
    assert!(faults[0].contains("no column for the class 'dog'") && faults[1].contains("did you mean 'dog'?"), "{faults:?}");
    f.write("train/_classes.csv", b"filename,labels,cat\na.jpg,cat,0\n");
    one_fault(&f, "train/_classes.csv:1", "labels in the column 'labels' and in columns of classes, 'cat'");
    f.source.classes = vec!["cat".into()];
    f.write("train/_classes.csv", b"filename,cat\na.jpg,1\nb.jpg,0\n");
    assert_eq!(labels(&f), expected([("train/a", &[1]), ("train/b", &[])]), "one class is a column too");
}

#[test]
fn one_file_for_several_splits() {
    let mut f = fixture(Layout::Csv, &ABC, &[("train", "all.csv"), ("val", "all.csv")]);
    f.write("all.csv", b"path,label,split\na.jpg,cat,train\nb.jpg,dog,Valid\nc.jpg,sheep,test\na.jpg,dog,train\n");
    let records = f.read().unwrap();
    assert_eq!(ids(&records), ["a", "b"]);
    assert_eq!((&records[0].splits[..], &records[1].splits[..]), (&["train".into()][..], &["val".into()][..]));
    assert_eq!(records[0].labels, [ClassId(1), ClassId(2)], "the rows of one picture are united");
    f.source.splits.insert("extra".into(), "all.csv".into());
    one_fault(&f, "all.csv", "no row is of the split 'extra'; the column of splits holds 'Valid', 'test', 'train'");
    f.source.splits.remove("extra");
    f.source.splits.insert("test".into(), "all.csv".into());
    f.source.unlabelled = vec!["test".into()];
    assert_eq!(labels(&f)["c"], [] as [u8; 0]);
    f.write("all.csv", b"path,label\na.jpg,cat\nb.jpg,dog\n");
    one_fault(&f, "all.csv", "no column 'split'");
}

#[test]
fn faults_of_tables() {
    let mut f = fixture(Layout::Csv, &ABC, &[("train", "train.csv")]);
    let faults: [(&str, &str, &str); 12] = [
        ("path,label\nx.jpg,cat\na.jpg,dog\n", "train.csv:2", "no picture is called 'x.jpg'"),
        ("x.jpg,cat\na.jpg,cat\nb.jpg,dog\n", "train.csv:1", "no picture is called 'x.jpg'"),
        ("x,cat\na,cat\nb,dog\n", "train.csv:1", "no picture is called 'x'"),
        ("path,label\na.jpg,cta\n", "train.csv:2", "did you mean 'cat'?"),
        ("path,label\na.jpg,\"cat\nb.jpg,dog\n", "train.csv:2", "a quote is not closed"),
        ("path,label\na.jpg,cat,dog\nb.jpg,dog\n", "train.csv:2", "3 fields in the row of 'a.jpg', where the first row has 2"),
        ("path\na.jpg\n", "train.csv:1", "no column of labels"),
        ("a.jpg\n", "train.csv", "no column of labels"),
        ("path,width,height\na.jpg,8,8\n", "train.csv:1", "which column holds the labels? call it 'labels'; there is 'width', 'height'"),
        ("path,label,class\na.jpg,cat,1\n", "train.csv:1", "2 columns of labels, 'label', 'class'; keep one"),
        ("path,label\n", "train.csv", "no row of a picture"),
        ("path,label\n../../a.jpg,cat\n", "train.csv:2", "no path inside the data set"),
    ];
    for (text, file, reason) in faults {
        f.write("train.csv", text.as_bytes());
        one_fault(&f, file, reason);
    }
    f.write("train.csv", b"path,label\na.jpg,\xff\n");
    one_fault(&f, "train.csv", "save it as CSV UTF-8");
    f.write("train.csv", b"path,label\na.jpg,zebra\n");
    f.source.unknown_classes = Unknown::Ignore;
    note(&f, "labels that are not in classes are left out: 'zebra' (1)");
    f.source.splits = [("train".to_owned(), "none.csv".to_owned())].into();
    one_fault(&f, "none.csv", "beside it there is train.csv");
}

#[test]
fn masks_of_pictures_in_folders() {
    let mut f = fixture(Layout::Csv, &["images/cat/1.jpg", "images/dog/2.jpg", "images/dog/3.jpg"], &[("train", "l.csv")]);
    f.source.masks = Some("masks".into());
    f.write("l.csv", b"path,label\nimages/cat/1.jpg,cat\nimages/dog/2.jpg,dog\nimages/dog/3.jpg,dog\n");
    f.mask("masks/cat/1.png", 8, 1);
    f.mask("masks/2.png", 8, 2);
    let masks: Vec<Option<u8>> = f
        .read()
        .unwrap()
        .iter()
        .map(|record| record.mask.as_ref().map(|mask| decode_mask(mask).unwrap().classes[0]))
        .collect();
    assert_eq!(masks, [Some(1), Some(2), None]);
    f.write("images/sheep/2.jpg", &encode_jpeg(&gradient(8, 8), 90));
    f.write("l.csv", b"path,label\nimages/dog/2.jpg,dog\nimages/sheep/2.jpg,sheep\n");
    one_fault(&f, "masks/2.png", "can be the mask of images/dog/2 and of images/sheep/2");
}

// Folders

#[test]
fn a_folder_is_a_class() {
    let pictures = ["train/cat/1.jpg", "train/dog/1.jpg", "train/dog/big/2.JPG", "train/none/3.jpg", "test/4.jpg"];
    let mut f = fixture(Layout::Folders, &pictures, &[("train", "train")]);
    f.write("train/.cache/x.jpg", b"no picture");
    let want = expected([("train/cat/1", &[1]), ("train/dog/1", &[2]), ("train/dog/big/2", &[2]), ("train/none/3", &[])]);
    assert_eq!(labels(&f), want);
    note(&f, "no image is labelled with sheep");
    f.source.splits.insert("test".into(), "test/".into());
    one_fault(&f, "test/4.jpg", "lies beside the folders of classes");
    f.source.unlabelled = vec!["test".into()];
    assert_eq!(labels(&f).len(), 5);
    f.source.splits.remove("test");
    f.source.unlabelled.clear();
    f.write("train/cta/5.jpg", &encode_jpeg(&gradient(8, 8), 90));
    one_fault(&f, "train/cta/5.jpg", "did you mean 'cat'?");
    f.source.unknown_classes = Unknown::Ignore;
    note(&f, "labels that are not in classes are left out: 'cta' (1)");
    f.write("train/dog/6.webp", b"RIFF");
    one_fault(&f, "train/dog/6.webp", "convert it");
    f.source.splits = [("train".to_owned(), "tran".to_owned())].into();
    assert!(f.faults()[0].starts_with("tran: no picture in this folder"), "{:?}", f.faults());
}

#[test]
fn the_root_may_hold_the_folders() {
    let mut f = fixture(Layout::Folders, &["cat/1.jpg", "dog/1.jpg"], &[("train", ".")]);
    f.source.masks = Some("masks".into());
    f.mask("masks/cat/1.png", 8, 1);
    assert_eq!(labels(&f), expected([("cat/1", &[1]), ("dog/1", &[2])]));
    assert!(f.read().unwrap()[0].mask.is_some());
}

#[test]
fn a_share_of_train_is_held_out() {
    let names: Vec<String> = (0..60).map(|i| format!("{}/{i}.jpg", ["cat", "dog"][i % 2])).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut f = fixture(Layout::Folders, &names[..40], &[("train", ".")]);
    let val = |f: &Fixture| -> Vec<String> {
        let records = f.read().unwrap();
        assert!(records.iter().all(|record| record.splits == ["train"] || record.splits == ["val"]));
        records.iter().filter(|r| r.splits == ["val"]).map(|r| r.image_id.to_string()).collect()
    };
    assert_eq!(val(&f), [] as [String; 0]);
    f.source.val_share = 0.2;
    let held = val(&f);
    assert!((3..16).contains(&held.len()), "{held:?}");
    note(&f, &format!("{} of the 40 images of train are held out as val (val_share = 0.2)", held.len()));
    for name in &names[40..] {
        f.write(name, &encode_jpeg(&gradient(8, 8), 90));
    }
    let more = val(&f);
    assert!(held.iter().all(|id| more.contains(id)) && more.len() > held.len(), "{held:?} | {more:?}");
    assert!(more.iter().all(|id| held.contains(id) || names[40..].contains(&format!("{id}.jpg").as_str())));
    f.source.val_share = 1e-9;
    assert_eq!(val(&f).len(), 1, "one at the least");
    f.source.val_share = 1.0 - 1e-9;
    assert_eq!(val(&f).len(), 59, "one is left");
    f.source.val_share = 1.0;
    one_fault(&f, "val_share", "no share");
    f.source.val_share = 0.5;
    f.source.splits = [("training".to_owned(), ".".to_owned())].into();
    one_fault(&f, "val_share", "no split train");
    let mut f = fixture(Layout::Folders, &["cat/1.jpg"], &[("train", ".")]);
    f.source.val_share = 0.5;
    one_fault(&f, "val_share", "train has 1 images");
}

// COCO

/// An instances JSON of 8 x 8 pictures a.jpg, b.jpg and so on, with gaps between the ids of its categories.
fn instances(images: &[&str], annotations: &[Value]) -> Vec<u8> {
    let image = |(id, name): (usize, &&str)| json!({"id": id, "file_name": name, "height": 8, "width": 8});
    let images: Vec<Value> = images.iter().enumerate().map(image).collect();
    let category = |(id, name): (u32, &str)| json!({"id": id, "name": name, "supercategory": "animal"});
    let categories: Vec<Value> = [(17, "cat"), (90, "dog"), (3, "sheep")].map(category).to_vec();
    json!({"images": images, "annotations": annotations, "categories": categories}).to_string().into_bytes()
}

fn annotation(id: u32, image: u32, category: u32, segmentation: &Value) -> Value {
    json!({"id": id, "image_id": image, "category_id": category, "iscrowd": 0, "segmentation": segmentation})
}

fn rectangle([left, top, right, bottom]: [u32; 4]) -> Value {
    json!([[left, top, right, top, right, bottom, left, bottom]])
}

fn mask(record: &Record) -> Mask {
    decode_mask(record.mask.as_ref().expect("a mask")).unwrap()
}

#[test]
fn labels_and_masks_of_instances() {
    let pictures = ["images/train/a.jpg", "images/train/b.jpg", "images/train/c.jpg"];
    let mut f = fixture(Layout::Coco, &pictures, &[("train", "annotations/train.json")]);
    let crowd = json!({"id": 4, "image_id": 0, "category_id": 3, "iscrowd": 1,
                       "segmentation": {"size": [8, 8], "counts": [56, 8]}});
    let box_alone = json!({"id": 5, "image_id": 1, "category_id": 90, "bbox": [1, 1, 2, 2], "segmentation": []});
    let annotations = [
        annotation(3, 0, 90, &rectangle([2, 2, 4, 4])),
        annotation(1, 0, 17, &rectangle([0, 0, 6, 6])),
        annotation(2, 0, 17, &rectangle([2, 2, 3, 3])),
        crowd,
        box_alone,
        annotation(6, 1, 17, &rectangle([0, 0, 6, 6])),
    ];
    f.write("annotations/train.json", &instances(&ABC, &annotations));
    let imported = f.import().unwrap();
    let records = &imported.records;
    assert_eq!(ids(records), ["images/train/a", "images/train/b", "images/train/c"]);
    assert_eq!(labels(&f).into_values().collect::<Vec<_>>(), [vec![1, 2, 3], vec![1, 2], vec![]]);
    let rows: Vec<Vec<u8>> = mask(&records[0]).classes.chunks(8).map(<[u8]>::to_vec).collect();
    assert_eq!(rows[0], [1, 1, 1, 1, 1, 1, 0, 255]);
    assert_eq!(rows[2], [1, 1, 1, 2, 1, 1, 0, 255], "the smallest lies on top");
    assert_eq!(rows[3], [1, 1, 2, 2, 1, 1, 0, 255]);
    assert_eq!(rows[7], [0, 0, 0, 0, 0, 0, 0, 255]);
    assert!(records[1].mask.is_none(), "a box has no outline");
    assert_eq!(mask(&records[2]).classes, [0; 64], "an image without objects is background");
    assert_eq!(imported.metadata["mask.rule"], "coco-smaller-on-top-1");
    assert!(imported.metadata["mask.annotations"].contains("annotations/train.json"));
    note(&f, "2 masks are drawn from the segmentations (rule coco-smaller-on-top-1)");
    note(&f, "1 of 3 images show no class and are background");

    f.source.segmentations = Segmentations::Skip;
    assert!(f.import().unwrap().metadata.is_empty());
    assert!(f.read().unwrap().iter().all(|record| record.mask.is_none()));
    f.source.segmentations = Segmentations::Masks;
    f.source.masks = Some("png".into());
    f.mask("png/b.png", 8, 1);
    let masks: Vec<bool> = f.read().unwrap().iter().map(|record| record.mask.is_some()).collect();
    assert_eq!(masks, [false, true, false], "a directory of masks comes before the outlines");
}

#[test]
fn a_subset_of_the_categories() {
    let mut f = fixture(Layout::Coco, &ABC[..1], &[("train", "train.json")]);
    f.source.classes = vec!["dog".into()];
    let annotations =
        [annotation(1, 0, 17, &rectangle([2, 2, 4, 4])), annotation(2, 0, 90, &rectangle([0, 0, 8, 8]))];
    f.write("train.json", &instances(&ABC[..1], &annotations));
    one_fault(&f, "train.json", "unknown class 'cat'");
    f.source.unknown_classes = Unknown::Ignore;
    assert_eq!(labels(&f), expected([("a", &[1])]));
    let mask = mask(&f.read().unwrap()[0]);
    assert_eq!((mask.classes[0], mask.classes[2 * 8 + 2]), (1, 0), "what covers an object is not that object");
    note(&f, "'cat' (1)");
}

#[test]
fn faults_of_instances() {
    let f = fixture(Layout::Coco, &ABC[..1], &[("train", "train.json")]);
    let runs = |counts: Value| annotation(7, 0, 17, &json!({"size": [8, 8], "counts": counts}));
    let size = json!({"size": [4, 16], "counts": [64]});
    let faults: [(Value, &str); 9] = [
        (annotation(7, 5, 17, &json!([])), "annotation 7 is of image 5, which is not listed"),
        (annotation(7, 0, 18, &json!([])), "annotation 7 has the category 18, which is not listed"),
        (annotation(7, 0, 17, &json!([[1, 2, 3, 4, 5]])), "annotation 7: a polygon of 5 numbers"),
        (annotation(7, 0, 17, &json!([[1, 2, 3, 4, 1e9, 1e9]])), "a point at 1000000000, 1000000000"),
        (annotation(7, 0, 17, &json!("round")), "a segmentation is a list of polygons"),
        (annotation(7, 0, 17, &size), "run lengths of 16 x 4 pixels in an image of 8 x 8"),
        (runs(json!([60, 5])), "its run lengths do not add up to the 64 pixels"),
        (runs(json!("\u{e9}")), "run lengths in no text of pycocotools"),
        (runs(json!("PPPPPPPPPPPPPPPPPPPPPP")), "run lengths in no text of pycocotools"),
    ];
    for (annotation, reason) in faults {
        f.write("train.json", &instances(&ABC[..1], &[annotation]));
        one_fault(&f, "train.json", reason);
    }
    f.write("train.json", &instances(&["x.jpg"], &[]));
    one_fault(&f, "train.json", "no picture is called 'x.jpg'");
    f.write("train.json", b"{\"images\": [");
    one_fault(&f, "train.json", "no instances JSON of COCO (EOF");
    f.write("train.json", b"{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\"}]}");
    one_fault(&f, "train.json", "it has no annotations; name its split in unlabelled");
    f.write("train.json", b"{\"images\": [], \"annotations\": []}");
    one_fault(&f, "train.json", "it lists no image");
    let wide = json!({"images": [{"id": 1, "file_name": "a.jpg", "height": 8, "width": 9}],
                      "categories": [{"id": 1, "name": "cat"}], "annotations": [annotation(1, 1, 1, &rectangle([0, 0, 2, 2]))]});
    f.write("train.json", wide.to_string().as_bytes());
    one_fault(&f, "train.json", "the mask has 9 x 8 pixels, its image 8 x 8");
}

#[test]
fn a_test_set_of_coco_has_no_annotations() {
    let mut f = fixture(Layout::Coco, &["test/a.jpg"], &[("test", "info.json")]);
    f.write("info.json", b"{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\"}], \"categories\": []}");
    f.source.unlabelled = vec!["test".into()];
    assert_eq!(ids(&f.read().unwrap()), ["test/a"]);
}

#[test]
fn pixels_are_those_of_pycocotools() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/coco_masks.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let mut f = fixture(Layout::Coco, &[], &[("train", "train.json")]);
    f.source.classes = vec!["cat".into()];
    let (mut images, mut annotations) = (vec![], vec![]);
    for (id, case) in cases.iter().enumerate() {
        let [height, width] = size(case);
        f.write(&format!("{id:03}.jpg"), &encode_jpeg(&gradient(height, width), 90));
        images.push(json!({"id": id, "file_name": format!("{id:03}.jpg"), "height": height, "width": width}));
        annotations.push(annotation(id as u32, id as u32, 1, &case["segmentation"]));
    }
    let document = json!({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]});
    f.write("train.json", document.to_string().as_bytes());
    let records = f.read().unwrap();
    assert_eq!(records.len(), cases.len());
    for (record, case) in records.iter().zip(&cases) {
        let [height, width] = size(case);
        let mask = mask(record);
        let found: Vec<u8> = (0..height * width).map(|at| mask.classes[at % height * width + at / height]).collect();
        let runs: Vec<usize> = serde_json::from_value(case["runs"].clone()).unwrap();
        let inside = |(place, run): (usize, &usize)| std::iter::repeat_n((place % 2) as u8, *run);
        let wanted: Vec<u8> = runs.iter().enumerate().flat_map(inside).collect();
        assert_eq!(found, wanted, "{}: {case}", record.image_id);
    }
}

fn size(case: &Value) -> [usize; 2] {
    serde_json::from_value(case["size"].clone()).unwrap()
}

#[test]
fn one_class_of_each_layout_is_enough() {
    let mut f = fixture(Layout::Folders, &["t/cat/1.jpg", "t/background/2.jpg"], &[("train", "t")]);
    f.source.classes = vec!["cat".into()];
    f.source.masks = Some("masks".into());
    f.write("masks/t/cat/1.png", &encode_mask(&Mask { height: 8, width: 8, classes: vec![1; 64] }));
    let records = f.read().unwrap();
    assert_eq!((records.len(), mask(&records[1]).classes[0]), (2, 1));
}
