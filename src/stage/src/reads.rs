//! Inputs by what they are: a stage says which tables and files it reads, and whichever of its `needs` holds one gives
//! it.
//!
//! The runner checks that from the descriptions of all stages before anything starts; a stage that a person starts
//! checks it on the records of its inputs.

use std::collections::BTreeMap;

use artifact::dotted::get;
use artifact::store::Contents;
use artifact::{Error, Item, Reading, Result, Row, StageId, StagePlan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Description;

/// A table or file that a stage reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// What it reads.
    pub what: Item,
    /// How many of its inputs may hold that.
    pub holders: Holders,
    /// It reads that under one value of a parameter only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
}

/// How many inputs hold something that a stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holders {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// Any number: the stage reads them all.
    Every,
}

/// "While `param` has this `value`."
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Only {
    /// The deciding parameter. Dotted name.
    pub param: String,
    /// Its value.
    pub value: Value,
}

impl Read {
    /// The table of `R`, which exactly one input holds.
    pub fn table<R: Row>() -> Self {
        Self { what: Item::table::<R>(), holders: Holders::One, only: None }
    }

    /// A file, which exactly one input holds.
    pub fn file(name: &str) -> Self {
        Self { what: Item::File(name.to_owned()), holders: Holders::One, only: None }
    }

    /// The parameters of every input: any stage is then of use.
    pub fn params() -> Self {
        Self { what: Item::Params, holders: Holders::Every, only: None }
    }

    /// The stage can do without.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { holders: Holders::Optional, ..self }
    }

    /// The stage reads it of every input that holds it.
    #[must_use]
    pub fn every(self) -> Self {
        Self { holders: Holders::Every, ..self }
    }

    /// The stage reads it while `param` has this value.
    #[must_use]
    pub fn only_while(self, param: &str, value: impl Serialize) -> Self {
        Self { only: Some(Only { param: param.to_owned(), value: json!(value) }), ..self }
    }

    /// Does the stage read it with these parameters?
    fn applies(&self, params: &Value) -> bool {
        self.only.as_ref().is_none_or(|Only { param, value }| get(params, param) == Some(value))
    }
}

/// What is known of the stages around one.
pub struct Around<'a> {
    /// What each of its needs holds, by the name of its stage.
    pub needs: BTreeMap<&'a str, Contents>,
    /// What each stage of the manifest writes; none where only artifacts are known.
    pub manifest: BTreeMap<&'a str, &'a Contents>,
}

impl Description {
    /// What it reads with these parameters.
    pub fn items(&self, params: &Value) -> Vec<Item> {
        self.reads.iter().filter(|read| read.applies(params)).map(|read| read.what.clone()).collect()
    }

    /// What it reads of an input, for its key; `digest` gives the digest of each thing that the input holds.
    pub fn reading(&self, params: &Value, digest: impl Fn(&Item) -> Option<String>) -> Reading {
        Reading::of(&self.items(params), digest)
    }

    /// Checks the manifest's `needs`: each thing that the stage reads is held by as many of them as it takes, and each
    /// of them is of some use.
    pub fn check_needs(&self, plan: &StagePlan, around: &Around<'_>) -> Result<()> {
        for read in self.reads.iter().filter(|read| read.applies(&plan.params)) {
            let holders: Vec<_> = plan.needs.iter().filter(|need| around.holds(need, &read.what)).collect();
            match (read.holders, holders.as_slice()) {
                (Holders::One, []) => return Err(self.lacking(plan, read, around)),
                (Holders::One | Holders::Optional, [one, other, ..]) => {
                    return Err(self.ambiguous(plan, read, [one, other]));
                }
                _ => {}
            }
        }
        match plan.needs.iter().find(|need| !self.uses(plan, need, around)) {
            Some(need) => Err(self.useless(plan, need, around)),
            None => Ok(()),
        }
    }

    fn uses(&self, plan: &StagePlan, need: &StageId, around: &Around<'_>) -> bool {
        let read = |read: &Read| read.applies(&plan.params) && around.holds(need, &read.what);
        self.reads.iter().any(read)
    }

    fn lacking(&self, plan: &StagePlan, read: &Read, around: &Around<'_>) -> Error {
        let (name, what, candidates) = (&self.name, &read.what, around.candidates(&self.name, &read.what));
        Error::Config(match &read.only {
            None => {
                format!("{}: '{name}' reads {what}, which none of its needs holds; {candidates}", plan.place("needs"))
            }
            Some(Only { param, value }) => format!(
                "{}: {name}.{param} = {value}, but its needs lack {what}; {candidates}, or set another {param}",
                plan.place(param)
            ),
        })
    }

    fn ambiguous(&self, plan: &StagePlan, read: &Read, holders: [&StageId; 2]) -> Error {
        let [one, other] = holders.map(|need| need.seen_from(&plan.experiment));
        let (place, name, what) = (plan.place("needs"), &self.name, &read.what);
        Error::Config(format!(
            "{place}: '{name}' reads {what} of one stage, but both '{one}' and '{other}' hold it; leave one out"
        ))
    }

    fn useless(&self, plan: &StagePlan, need: &StageId, around: &Around<'_>) -> Error {
        let (place, name, need_name) = (plan.place("needs"), &self.name, need.seen_from(&plan.experiment));
        let mut other_value = self.reads.iter().filter(|read| around.holds(need, &read.what));
        if let Some(Only { param, value }) = other_value.find_map(|read| read.only.as_ref()) {
            let set = plan.place(param);
            return Error::Config(format!(
                "{place}: '{name}' uses '{need_name}' for {param} = {value} only; leave it out, or set {param} ({set})"
            ));
        }
        let reads: Vec<_> = self.reads.iter().map(|read| read.what.to_string()).collect();
        let reads = if reads.is_empty() { "nothing".to_owned() } else { reads.join(", ") };
        Error::Config(format!("{place}: '{name}' has no use for '{need_name}'; it reads {reads}"))
    }
}

impl Around<'_> {
    fn holds(&self, need: &StageId, what: &Item) -> bool {
        self.needs.get(need.stage.as_str()).is_some_and(|contents| what.is_in(contents))
    }

    /// How a stage could come by something that it lacks.
    fn candidates(&self, stage: &str, what: &Item) -> String {
        let writers = self.manifest.iter().filter(|(_, contents)| what.is_in(contents));
        // A stage cannot need itself, but the same stage of another experiment.
        let name = |writer: &str| format!("'{writer}{}'", if writer == stage { "@EXPERIMENT" } else { "" });
        let names: Vec<_> = writers.map(|(writer, _)| name(writer)).collect();
        if !names.is_empty() {
            return format!("add {}", names.join(" or "));
        }
        if !self.manifest.is_empty() {
            return "no other stage writes it: add one that does".to_owned();
        }
        let held = |(need, Contents { tables, files, .. }): (&&str, &Contents)| {
            format!("'{need}' holds {}", tables.iter().chain(files).cloned().collect::<Vec<_>>().join(", "))
        };
        let held: Vec<_> = self.needs.iter().map(held).collect();
        let held = if held.is_empty() { String::new() } else { format!(" ({})", held.join("; ")) };
        format!("add a stage that writes it{held}")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use artifact::Manifest;
    use artifact::table::{CamRow, DatasetRow, LabelRow};

    use super::*;

    const MANIFEST: &str = r#"
[pipeline]
name = "test"
seed = 1
store = "store"
device = "cpu"
main = "main"
[stage.data]
[stage.train]
init = "random"
[stage.walk]
[stage.smooth]
[stage.segment]
[experiment.main]
[experiment.other]
targets = ["train"]
"#;

    /// What each stage of the manifest writes.
    fn written() -> BTreeMap<&'static str, Contents> {
        BTreeMap::from([
            ("data", Contents::tables(["dataset"])),
            ("train", Contents::tables(["curve"]).with_file("net").with_optional_file("support")),
            ("walk", Contents::tables(["label"])),
            ("smooth", Contents::tables(["label"])),
        ])
    }

    /// What is said of `needs`, without the place; empty if nothing.
    fn check(description: &Description, needs: &str, set: &str, by_hand: bool) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipeline.toml");
        fs::write(&path, MANIFEST).unwrap();
        let sets = [format!("experiment.main.{}.needs={needs}", description.name), set.to_owned()];
        let sets: Vec<_> = sets.into_iter().filter(|set| !set.is_empty()).collect();
        let plan = Manifest::load(&path, &sets).unwrap().experiment("main").unwrap();
        let plan = plan.stage(&description.name).unwrap();
        let written = written();
        let needs = plan.needs.iter().map(|need| (need.stage.as_str(), written[need.stage.as_str()].clone()));
        let manifest = written.iter().filter(|_| !by_hand).map(|(name, contents)| (*name, contents));
        let around = Around { needs: needs.collect(), manifest: manifest.collect() };
        let said = description.check_needs(plan, &around).map_or_else(|error| error.to_string(), |()| String::new());
        said.split_once(": ").map_or(said.clone(), |(_, said)| said.to_owned())
    }

    fn segment() -> Description {
        let reads = vec![Read::table::<DatasetRow>(), Read::table::<LabelRow>(), Read::file("net").optional()];
        Description { reads, ..Description::new("segment", 1, "Segments") }
    }

    #[test]
    fn whichever_need_holds_a_table_gives_it() {
        for needs in [r#"["data", "walk"]"#, r#"["smooth", "data"]"#, r#"["data", "walk", "train"]"#] {
            assert_eq!(check(&segment(), needs, "", false), "");
        }
        let every = Description { reads: vec![Read::table::<LabelRow>().every()], ..segment() };
        for needs in ["[]", r#"["walk"]"#, r#"["walk", "smooth"]"#] {
            assert_eq!(check(&every, needs, "", false), "");
        }
    }

    #[test]
    fn a_table_that_no_need_holds_is_named_with_the_stages_that_write_it() {
        let lacks = "'segment' reads the table 'label', which none of its needs holds; ";
        assert_eq!(check(&segment(), r#"["data"]"#, "", false), format!("{lacks}add 'smooth' or 'walk'"));
        let by_hand = format!("{lacks}add a stage that writes it ('data' holds dataset)");
        assert_eq!(check(&segment(), r#"["data"]"#, "", true), by_hand);
        let nobody = Description { reads: vec![Read::table::<CamRow>()], ..segment() };
        let said = check(&nobody, "[]", "", false);
        assert!(said.ends_with("no other stage writes it: add one that does"), "{said}");
    }

    #[test]
    fn a_table_that_two_needs_hold_and_a_need_of_no_use_are_refused() {
        let said = check(&segment(), r#"["data", "walk", "smooth"]"#, "", false);
        let expected =
            "'segment' reads the table 'label' of one stage, but both 'walk' and 'smooth' hold it; leave one out";
        assert_eq!(said, expected);
        let walk = Description { reads: vec![Read::table::<DatasetRow>()], ..Description::new("walk", 1, "Walks") };
        let said = check(&walk, r#"["data", "train@other"]"#, "", false);
        assert_eq!(said, "'walk' has no use for 'train@other'; it reads the table 'dataset'");
        let any = Description { reads: vec![Read::table::<DatasetRow>(), Read::params()], ..walk };
        assert_eq!(check(&any, r#"["data", "train@other"]"#, "", false), "");
    }

    #[test]
    fn what_a_parameter_makes_a_stage_read_is_needed_then_and_only_then() {
        let reads = vec![Read::table::<DatasetRow>(), Read::file("net").only_while("init", "train")];
        let train = Description { reads, ..Description::new("train", 1, "Trains") };
        let going_on = "train.init=train";
        assert_eq!(check(&train, r#"["data"]"#, "", false), "");
        assert_eq!(check(&train, r#"["data", "train@other"]"#, going_on, false), "");
        let said = check(&train, r#"["data"]"#, going_on, false);
        let expected =
            "train.init = \"train\", but its needs lack the file 'net'; add 'train@EXPERIMENT', or set another init";
        assert!(said.ends_with(expected), "{said}");
        let said = check(&train, r#"["data", "train@other"]"#, "", false);
        let expected = "'train' uses 'train@other' for init = \"train\" only; leave it out, or set init";
        assert!(said.contains(expected), "{said}");
    }
}
