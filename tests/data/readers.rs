//! Readers of other layouts than VOC's: tables and folders of classes; and splits that are held out.

use std::collections::BTreeMap;

use artifact::ClassId;
use data::codec::{Mask, decode_mask, encode_jpeg, encode_mask};
use data::import::{Layout, Record, Unknown};

use crate::codec::gradient;
use crate::import::{Fixture, ids};

/// A data set of that layout with these pictures, the classes cat, dog and sheep, and these splits.
pub(crate) fn fixture(layout: Layout, pictures: &[&str], splits: &[(&str, &str)]) -> Fixture {
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
pub(crate) fn labels(f: &Fixture) -> BTreeMap<String, Vec<u8>> {
    let of =
        |record: Record| (record.image_id.as_str().to_owned(), record.labels.iter().map(|class| class.0).collect());
    f.read().unwrap().into_iter().map(of).collect()
}

pub(crate) fn expected<const N: usize>(labels: [(&str, &[u8]); N]) -> BTreeMap<String, Vec<u8>> {
    labels.into_iter().map(|(id, labels)| (id.to_owned(), labels.to_vec())).collect()
}

pub(crate) fn one_fault(f: &Fixture, file: &str, reason: &str) {
    let faults = f.faults();
    let told = faults.len() == 1 && faults[0].starts_with(&format!("{file}: ")) && faults[0].contains(reason);
    assert!(told, "{faults:#?} | {file}: {reason}");
}

pub(crate) fn note(f: &Fixture, part: &str) {
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
    assert!(
        faults[0].contains("no column for the class 'dog'") && faults[1].contains("did you mean 'dog'?"),
        "{faults:?}"
    );
    f.write("train/_classes.csv", b"filename,labels,cat\na.jpg,cat,0\n");
    one_fault(&f, "train/_classes.csv:1", "labels in the column 'labels' and in columns of classes, 'cat'");
    f.source.unknown_classes = Unknown::Ignore;
    f.write("train/_classes.csv", b"filename,cat,dog,sheep,width\na.jpg,1,0,0,640\n");
    assert_eq!(labels(&f), expected([("train/a", &[1])]));
    note(&f, "train/_classes.csv: not read: width");
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
        (
            "path,label\na.jpg,cat,dog\nb.jpg,dog\n",
            "train.csv:2",
            "3 fields in the row of 'a.jpg', where the first row has 2",
        ),
        ("path\na.jpg\n", "train.csv:1", "no column of labels"),
        ("a.jpg\n", "train.csv", "no column of labels"),
        (
            "path,width,height\na.jpg,8,8\n",
            "train.csv:1",
            "which column holds the labels? call it 'labels'; there is 'width', 'height'",
        ),
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
    f.source.val_share = 0.5;
    one_fault(&f, "none.csv", "beside it there is train.csv");
}

#[test]
fn masks_of_pictures_in_folders() {
    let mut f =
        fixture(Layout::Csv, &["images/cat/1.jpg", "images/dog/2.jpg", "images/dog/3.jpg"], &[("train", "l.csv")]);
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
    let want =
        expected([("train/cat/1", &[1]), ("train/dog/1", &[2]), ("train/dog/big/2", &[2]), ("train/none/3", &[])]);
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

#[test]
fn one_class_of_each_layout_is_enough() {
    let mut f = fixture(Layout::Folders, &["t/cat/1.jpg", "t/background/2.jpg"], &[("train", "t")]);
    f.source.classes = vec!["cat".into()];
    f.source.masks = Some("masks".into());
    f.write("masks/t/cat/1.png", &encode_mask(&Mask { height: 8, width: 8, classes: vec![1; 64] }));
    let records = f.read().unwrap();
    assert_eq!((records.len(), decode_mask(records[1].mask.as_ref().unwrap()).unwrap().classes[0]), (2, 1));
}
