//! Each of Eqs. 1 to 9 is tagged at exactly one public function: the first paragraph of its documentation ends with
//! `Eq. (n).` or `Eqs. (n) and (m).`

use std::collections::BTreeMap;

use crate::tree::{files, functions};

/// The numbers of the tag with which a paragraph ends.
fn tag(doc: &[String]) -> Vec<u32> {
    let paragraph = doc.iter().take_while(|line| !line.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    let last = paragraph.rfind("Eq").map(|start| &paragraph[start..]).unwrap_or_default();
    let tagged = (last.starts_with("Eq. (") || last.starts_with("Eqs. (")) && last.ends_with(").");
    let numbers = last.split('(').skip(1).filter_map(|part| part.split(')').next()?.parse().ok());
    if tagged { numbers.collect() } else { Vec::new() }
}

#[test]
fn every_equation_has_one_function() {
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for file in ["src", "stages"].iter().flat_map(|dir| files(dir, ".rs")) {
        for function in functions(&file.text).iter().filter(|function| function.public) {
            for number in tag(&function.doc) {
                found.entry(number).or_default().push(format!("{}: {}", file.path, function.name));
            }
        }
    }
    for number in 1..=9 {
        let places = found.get(&number).cloned().unwrap_or_default();
        assert_eq!(places.len(), 1, "Eq. ({number}) is tagged at {places:?}");
        assert!(places[0].starts_with("src/wsss/src/method/"), "Eq. ({number}) is at {}", places[0]);
    }
    assert_eq!(found.len(), 9, "{found:?}");
}
