//! What a stage says of itself (`--describe`), and how that and the manifest give its key.

use std::collections::BTreeMap;

use artifact::dotted::{get, take};
use artifact::store::Contents;
use artifact::{Error, Fingerprints, Item, Preimage, Reading, Result, StagePlan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::reads::Read;

/// A stage's contract, printed as JSON by `<stage> --describe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Name of the stage, `train-cam`; its binary has the same name with `-` as `_` or as it is.
    pub name: String,
    /// What it does, as in `name: about`, the first line of its `--help` and of its source.
    pub about: String,
    /// Rises when the same inputs would give other outputs.
    pub version: u32,
    /// What it reads; whichever of its `needs` holds that gives it.
    #[serde(default)]
    pub reads: Vec<Read>,
    /// What it writes.
    pub writes: Contents,
    /// Does it draw random numbers (the seed is then in its key)?
    pub seeded: bool,
    /// Does it compute with tensors (device class and type are then in its key)?
    pub tensors: bool,
    /// Does it work image by image, so that several processes may share it (`--shard I/N`)?
    #[serde(default)]
    pub sharded: bool,
    /// What its check looks at of inputs: the records of those that hold it, as soon as they are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Item>,
    /// The parameter that says in how many processes it runs where it is started alone, if it can run in several.
    /// Dotted name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<String>,
    /// Parameters that never change bytes, such as `workers`: not in the key. Dotted names.
    pub execution_params: Vec<String>,
    /// Parameters that name a file or directory from outside: in the key by content. Dotted names.
    pub path_params: Vec<String>,
    /// Parameters that have no effect while another has certain values, or lacks certain items: not in the key then.
    #[serde(default)]
    pub unused_params: Vec<Unused>,
}

/// "While `param` is one of `values`, or is a list with none of the items that it `lacks`, `unused` have no effect."
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unused {
    /// The deciding parameter. Dotted name.
    pub param: String,
    /// Its values; empty where a list decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// What the list must not hold; empty where a value decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Value>,
    /// The parameters without effect. Dotted names.
    pub unused: Vec<String>,
}

impl Unused {
    /// While `param` is one of `values`.
    pub fn while_is<V: Serialize>(param: &str, values: impl IntoIterator<Item = V>, unused: &[&str]) -> Self {
        Self { values: values.into_iter().map(|value| json!(value)).collect(), ..Self::new(param, unused) }
    }

    /// While the list `param` holds none of these items.
    pub fn while_lacks<V: Serialize>(param: &str, items: impl IntoIterator<Item = V>, unused: &[&str]) -> Self {
        Self { lacks: items.into_iter().map(|item| json!(item)).collect(), ..Self::new(param, unused) }
    }

    fn new(param: &str, unused: &[&str]) -> Self {
        let unused = unused.iter().map(|name| (*name).to_owned()).collect();
        Self { param: param.to_owned(), values: Vec::new(), lacks: Vec::new(), unused }
    }

    /// Does the condition hold? A parameter that is not there decides nothing.
    fn holds(&self, params: &Value) -> bool {
        let Some(value) = get(params, &self.param) else { return false };
        let lacking = |list: &Vec<Value>| !self.lacks.is_empty() && !self.lacks.iter().any(|item| list.contains(item));
        self.values.contains(value) || value.as_array().is_some_and(lacking)
    }
}

impl Description {
    /// A stage without inputs, randomness or tensors whose every parameter counts; struct update adds the rest.
    pub fn new(name: &str, version: u32, about: &str) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            version,
            reads: vec![],
            writes: Contents::default(),
            seeded: false,
            tensors: false,
            sharded: false,
            checks: vec![],
            processes: None,
            execution_params: vec![],
            path_params: vec![],
            unused_params: vec![],
        }
    }

    /// In how many processes it runs where it is started alone with these parameters.
    pub fn processes(&self, params: &Value) -> usize {
        let number = self.processes.as_ref().and_then(|name| get(params, name)?.as_u64());
        number.map_or(1, |number| number as usize)
    }

    /// The preimage of this stage under `plan`, its paths written out, with `inputs` what it reads of each input
    /// artifact by the name of its stage.
    pub fn preimage(
        &self,
        plan: &StagePlan,
        inputs: BTreeMap<String, Reading>,
        fingerprints: &Fingerprints,
    ) -> Result<Preimage> {
        let mut params = self.effective(&plan.params);
        let mut files = BTreeMap::new();
        for name in &self.path_params {
            match take(&mut params, name) {
                None => {}
                Some(Value::String(path)) if path.is_empty() => {}
                Some(Value::String(path)) => {
                    let digest = fingerprints.digest(path.as_ref()).map_err(|error| match error {
                        Error::Config(reason) => Error::Config(format!("{}: {reason}", plan.place(name))),
                        other => other,
                    })?;
                    files.insert(name.clone(), digest);
                }
                Some(other) => {
                    return Err(Error::Config(format!("{}: expected a path, found {other}", plan.place(name))));
                }
            }
        }
        Ok(Preimage {
            stage: self.name.clone(),
            version: self.version,
            params,
            seed: self.seeded.then_some(plan.seed),
            inputs,
            files,
            device: self.tensors.then(|| plan.arithmetic()),
        })
    }

    /// The parameters that have an effect on bytes. What is unused is decided by all parameters together: a rule may
    /// look at a parameter that another rule takes away.
    fn effective(&self, params: &Value) -> Value {
        let unused = self.unused_params.iter().filter(|rule| rule.holds(params)).flat_map(|rule| &rule.unused);
        let mut effective = params.clone();
        for name in self.execution_params.iter().chain(unused) {
            take(&mut effective, name);
        }
        effective
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_is_decided_by_all_parameters_together() {
        let description = Description {
            execution_params: vec!["loop.workers".into()],
            unused_params: vec![
                Unused::while_lacks("terms", ["rcm", "mam"], &["support"]),
                Unused::while_lacks("terms", ["rcm"], &["rcm"]),
                // The rule above may take `rcm` away, with the parameter that this one looks at.
                Unused::while_is("rcm.supervision", ["direct"], &["rcm.temperature", "prototypes"]),
            ],
            ..Description::new("train", 1, "Trains")
        };
        let params = |terms: &[&str], supervision: &str| {
            json!({
                "terms": terms,
                "loop": {"epochs": 2, "workers": 8},
                "rcm": {"supervision": supervision, "temperature": 0.5},
                "support": {"momentum": 0.9},
                "prototypes": 3,
            })
        };
        let left = |terms, supervision| {
            let effective = description.effective(&params(terms, supervision));
            assert_eq!(effective["loop"], json!({"epochs": 2}));
            let mut names: Vec<_> = effective.as_object().unwrap().keys().cloned().collect();
            names.retain(|name| !["terms", "loop"].contains(&name.as_str()));
            (names, effective["rcm"].clone())
        };
        let contrastive = json!({"supervision": "contrastive", "temperature": 0.5});
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(left(&["cls"], "contrastive"), (names(&["prototypes"]), Value::Null));
        assert_eq!(left(&["cls"], "direct"), (names(&[]), Value::Null));
        assert_eq!(left(&["cls", "mam"], "direct"), (names(&["support"]), Value::Null));
        assert_eq!(left(&["cls", "rcm"], "contrastive"), (names(&["prototypes", "rcm", "support"]), contrastive));
        let direct = json!({"supervision": "direct"});
        assert_eq!(left(&["cls", "rcm"], "direct"), (names(&["rcm", "support"]), direct));
    }

    #[test]
    fn a_stage_runs_in_one_process_unless_its_parameter_says_more() {
        let params = json!({"loop": {"processes": 4}});
        let alone = Description::new("train", 1, "Trains");
        let together = Description { processes: Some("loop.processes".into()), ..alone.clone() };
        assert_eq!((alone.processes(&params), together.processes(&params)), (1, 4));
        assert_eq!(together.processes(&json!({})), 1);
    }

    #[test]
    fn a_parameter_that_is_not_there_or_is_no_list_decides_nothing() {
        let description = Description {
            unused_params: vec![
                Unused::while_lacks("terms", ["rcm"], &["rcm"]),
                Unused::while_is("net.kind", [json!("small")], &["width"]),
            ],
            ..Description::new("train", 1, "Trains")
        };
        for params in [json!({"rcm": 1, "width": 2}), json!({"terms": "rcm", "net": "small", "rcm": 1, "width": 2})] {
            assert_eq!(description.effective(&params), params);
        }
    }

    #[test]
    fn a_description_comes_back_from_its_json() {
        let rules = vec![Unused::while_lacks("terms", ["rcm"], &["rcm"]), Unused::while_is("n", [1], &["m"])];
        let description = Description { unused_params: rules, ..Description::new("train", 1, "Trains") };
        let text = serde_json::to_string(&description).unwrap();
        assert!(text.contains(r#"{"param":"terms","lacks":["rcm"],"unused":["rcm"]}"#), "{text}");
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), description);
    }
}
