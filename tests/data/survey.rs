//! What `camflow init` finds in folders of every layout.

use data::codec::{Mask, encode_jpeg, encode_mask};
use data::import::{Layout, Survey, WithoutAnnotation, survey};
use tempfile::TempDir;

use crate::codec::gradient;
use crate::import::annotation;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn pictures(&self, files: &[&str]) {
        for file in files {
            self.write(file, encode_jpeg(&gradient(8, 8), 90));
        }
    }

    fn survey(&self) -> Survey {
        survey(self.0.path(), &|_, _| {}).unwrap()
    }
}

fn splits(survey: &Survey) -> Vec<(&str, &str)> {
    survey.source.splits.iter().map(|(split, list)| (split.as_str(), list.as_str())).collect()
}

#[test]
fn roboflows_folders() {
    let f = Folder::new();
    for (file, class) in [("train/a", "cat"), ("train/b", "dog"), ("valid/c", "dog")] {
        f.pictures(&[&format!("{file}.jpg")]);
        f.write(&format!("{file}.xml"), annotation(&[class]));
    }
    f.write("README.roboflow.txt", "exported");
    let found = f.survey();
    assert_eq!((found.source.layout, splits(&found)), (Layout::Voc, vec![("train", "train"), ("val", "valid")]));
    assert_eq!(found.source.classes, ["cat", "dog"]);
    assert_eq!((found.imported.unwrap().records.len(), found.source.val_share), (3, 0.0));
}

#[test]
fn vocs_layout_with_masks_and_a_test_set() {
    let f = Folder::new();
    for (id, class) in [("a", "cat"), ("b", "dog"), ("c", "dog")] {
        f.pictures(&[&format!("JPEGImages/{id}.jpg")]);
        f.write(&format!("Annotations/{id}.xml"), annotation(&[class]));
        let class = 1 + u8::from(class == "dog");
        let mask = Mask { height: 8, width: 8, classes: vec![class; 64] };
        f.write(&format!("SegmentationClass/{id}.png"), encode_mask(&mask));
    }
    f.pictures(&["JPEGImages/t.jpg"]);
    for (list, ids) in [("train", "a\nb"), ("val", "c"), ("test", "t"), ("trainval", "a\nb\nc")] {
        f.write(&format!("ImageSets/Segmentation/{list}.txt"), ids);
    }
    f.write("ImageSets/Main/cat_train.txt", "a 1\nb -1");
    let found = f.survey();
    assert_eq!(found.source.masks.as_deref(), Some("SegmentationClass"));
    assert_eq!(found.source.unlabelled, ["test"]);
    let list = |split: &str| format!("ImageSets/Segmentation/{split}.txt");
    let expected = ["test", "train", "val"].map(|split| (split.to_owned(), list(split)));
    assert_eq!(found.source.splits.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(found.imported.unwrap().records.len(), 4);
}

#[test]
fn a_table_without_splits_or_masks() {
    let f = Folder::new();
    let names: Vec<String> = (0..10).map(|number| format!("photos/{number}.jpg")).collect();
    f.pictures(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let rows: String = names.iter().flat_map(|name| [name, ",cat;dog\n"]).collect();
    f.write("labels.csv", format!("file,labels\n{rows}"));
    let found = f.survey();
    assert_eq!((found.source.layout, splits(&found)), (Layout::Csv, vec![("train", "labels.csv")]));
    assert_eq!((&found.source.classes[..], found.source.masks.clone()), (&["cat".into(), "dog".into()][..], None));
    let records = found.imported.unwrap().records;
    let val = records.iter().filter(|record| record.splits == ["val"]).count();
    assert!((1..10).contains(&val) && records.len() == 10, "{val}");

    f.write("labels.csv", "file,set,cat,dog\nphotos/0.jpg,train,1,0\nphotos/1.jpg,valid,0,1\n");
    let found = f.survey();
    assert_eq!(splits(&found), [("train", "labels.csv"), ("val", "labels.csv")]);
    assert_eq!(found.source.classes, ["cat", "dog"]);
    assert_eq!(found.imported.unwrap().records.len(), 2);
}

#[test]
fn one_folder_a_class() {
    let f = Folder::new();
    f.pictures(&["cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "background/1.jpg"]);
    let found = f.survey();
    assert_eq!((found.source.layout, splits(&found)), (Layout::Folders, vec![("train", ".")]));
    assert_eq!(found.source.classes, ["cat", "dog"]);
    assert_eq!(found.imported.unwrap().records.len(), 4);
}

#[test]
fn a_class_that_is_called_as_a_split() {
    let f = Folder::new();
    f.pictures(&["train/1.jpg", "boat/1.jpg"]);
    let found = f.survey();
    assert_eq!(
        (splits(&found), &found.source.classes[..]),
        (vec![("train", ".")], &["boat".into(), "train".into()][..])
    );
    let f = Folder::new();
    f.pictures(&["train/cat/1.jpg", "train/dog/1.jpg", "test/dog/2.jpg"]);
    let found = f.survey();
    assert_eq!((splits(&found)[1], &found.source.classes[..]), (("train", "train"), &["cat".into(), "dog".into()][..]));
}

#[test]
fn instances_of_coco() {
    let f = Folder::new();
    f.pictures(&["train2017/1.jpg", "val2017/2.jpg"]);
    for (split, file) in [("train", "1.jpg"), ("val", "2.jpg")] {
        let json = format!(
            "{{\"images\": [{{\"id\": 1, \"file_name\": \"{file}\"}}], \"categories\": [{{\"id\": 18, \"name\": \
             \"dog\"}}, {{\"id\": 7, \"name\": \"unused\"}}], \"annotations\": [{{\"id\": 1, \"image_id\": 1, \
             \"category_id\": 18}}]}}"
        );
        f.write(&format!("annotations/instances_{split}2017.json"), json);
    }
    f.write("other.json", "{}");
    let found = f.survey();
    assert_eq!((found.source.layout, &found.source.classes[..]), (Layout::Coco, &["dog".to_owned()][..]));
    assert_eq!(splits(&found)[1], ("val", "annotations/instances_val2017.json"));
    assert_eq!(found.imported.unwrap().records.len(), 2);
}

#[test]
fn images_without_annotation_are_tried_as_background() {
    let f = Folder::new();
    f.pictures(&["a.jpg", "b.jpg", "c.jpg"]);
    f.write("a.xml", annotation(&["cat"]));
    f.write("b.xml", annotation(&["cat"]));
    let found = f.survey();
    assert_eq!(found.source.without_annotation, WithoutAnnotation::Background);
    assert!(found.imported.unwrap().notes.iter().any(|note| note.starts_with("1 images have no annotation")));
}

#[test]
fn what_is_no_data_set_is_told_with_what_is_there() {
    let f = Folder::new();
    f.pictures(&["a.jpg"]);
    let error = survey(f.0.path(), &|_, _| {}).err().unwrap();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("no labels were found. It holds a.jpg"), "{error}");
}

#[test]
fn a_folder_in_a_folder_and_masks_of_all_of_vocs_classes() {
    let f = Folder::new();
    for (id, class, index) in [("a", "cat", 8), ("b", "dog", 12), ("c", "dog", 12)] {
        f.pictures(&[&format!("VOCdevkit/VOC2012/JPEGImages/{id}.jpg")]);
        f.write(&format!("VOCdevkit/VOC2012/Annotations/{id}.xml"), annotation(&[class]));
        let mask = Mask { height: 8, width: 8, classes: vec![index; 64] };
        f.write(&format!("VOCdevkit/VOC2012/SegmentationClass/{id}.png"), encode_mask(&mask));
    }
    let found = f.survey();
    assert!(found.source.root.ends_with("VOCdevkit/VOC2012"));
    assert_eq!(found.source.mask_classes.as_ref().map(Vec::len), Some(20));
    assert!(found.notes[0].contains("mask_classes"), "{:?}", found.notes);
    assert!(found.imported.unwrap().records.iter().all(|record| record.mask.is_some()));

    // Masks that fit nothing are left out, as nothing but scores needs them.
    let wrong = Mask { height: 9, width: 9, classes: vec![8; 81] };
    f.write("VOCdevkit/VOC2012/SegmentationClass/a.png", encode_mask(&wrong));
    let found = f.survey();
    assert_eq!(found.source.masks, None);
    assert!(found.notes[0].contains("a.png: the mask has 9 x 9 pixels"), "{:?}", found.notes);
    assert!(found.imported.is_ok());
}
