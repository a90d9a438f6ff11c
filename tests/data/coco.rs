//! COCO's instances: labels by name, masks drawn from outlines, and what is refused.

use data::codec::{Mask, decode_mask, encode_jpeg};
use data::import::{Layout, Record, Segmentations, Unknown};
use serde_json::{Value, json};

use crate::codec::gradient;
use crate::import::ids;
use crate::readers::{expected, fixture, labels, note, one_fault};

const ABC: [&str; 3] = ["a.jpg", "b.jpg", "c.jpg"];

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
    let annotations = [annotation(1, 0, 17, &rectangle([2, 2, 4, 4])), annotation(2, 0, 90, &rectangle([0, 0, 8, 8]))];
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
                      "categories": [{"id": 1, "name": "cat"}],
                      "annotations": [annotation(1, 1, 1, &rectangle([0, 0, 2, 2]))]});
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
