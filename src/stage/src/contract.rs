//! What a stage says of itself (`--describe`), and how that and the manifest give its key.

use std::collections::BTreeMap;

use artifact::dotted::{get, take};
use artifact::{Error, Fingerprints, Preimage, Result, StageId, StagePlan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A stage's contract, printed as JSON by `<stage> --describe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Name of the stage, `train-cam`; its binary has the same name with `-` as `_` or as it is.
    pub name: String,
    /// Rises when the same inputs would give other outputs.
    pub version: u32,
    /// Stages whose artifacts it cannot do without.
    pub inputs: Vec<String>,
    /// Stages whose artifacts it uses if the manifest says `needs` them.
    #[serde(default)]
    pub optional_inputs: Vec<String>,
    /// Inputs that it uses by the value of a parameter.
    #[serde(default)]
    pub inputs_by_param: Vec<InputByParam>,
    /// Tables it writes, the first into `data/`.
    pub outputs: Vec<String>,
    /// Does it draw random numbers (the seed is then in its key)?
    pub seeded: bool,
    /// Does it compute with tensors (device class and type are then in its key)?
    pub tensors: bool,
    /// Does it work image by image, so that several processes may share it (`--shard I/N`)?
    #[serde(default)]
    pub sharded: bool,
    /// Parameters that never change bytes, such as `workers`: not in the key. Dotted names.
    pub execution_params: Vec<String>,
    /// Parameters that name a file or directory from outside: in the key by content. Dotted names.
    pub path_params: Vec<String>,
    /// Parameters that have no effect while another has certain values, or lacks certain items: not in the key then.
    #[serde(default)]
    pub unused_params: Vec<Unused>,
}

/// "While `param` is `value`, and only then, it uses the optional input `input`."
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputByParam {
    /// The deciding parameter.
    pub param: String,
    /// Its value.
    pub value: Value,
    /// The stage whose artifact it uses.
    pub input: String,
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
    pub fn new(name: &str, version: u32) -> Self {
        Self {
            name: name.to_owned(),
            version,
            inputs: vec![],
            optional_inputs: vec![],
            inputs_by_param: vec![],
            outputs: vec![],
            seeded: false,
            tensors: false,
            sharded: false,
            execution_params: vec![],
            path_params: vec![],
            unused_params: vec![],
        }
    }

    /// The preimage of this stage under `plan`, with `inputs` the content digest of each input artifact by the name of
    /// its stage.
    pub fn preimage(
        &self,
        plan: &StagePlan,
        inputs: BTreeMap<String, String>,
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
            device: self.tensors.then(|| format!("{} f32", plan.device_class())),
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

    /// Checks the manifest's `needs` against what the stage can use.
    pub fn check_needs(&self, plan: &StagePlan) -> Result<()> {
        let has = |input: &String| plan.needs.iter().any(|need| need.stage == *input);
        if let Some(input) = self.inputs.iter().find(|input| !has(input)) {
            return Err(Error::Config(format!("{}: '{}' needs '{input}'; add it", plan.place("needs"), self.name)));
        }
        let unknown =
            |need: &&StageId| !self.inputs.contains(&need.stage) && !self.optional_inputs.contains(&need.stage);
        if let Some(need) = plan.needs.iter().find(unknown) {
            let all: Vec<_> = self.inputs.iter().chain(&self.optional_inputs).map(String::as_str).collect();
            return Err(Error::Config(format!(
                "{}: '{}' has no use for '{}'; it takes {}",
                plan.place("needs"),
                self.name,
                need.seen_from(&plan.experiment),
                if all.is_empty() { "no input".to_owned() } else { all.join(", ") },
            )));
        }
        for InputByParam { param, value, input } in &self.inputs_by_param {
            let (name, place) = (&self.name, plan.place(param));
            match (plan.params.get(param) == Some(value), has(input)) {
                (true, false) => {
                    // A stage cannot need itself, but the same stage of another experiment.
                    let other = if input == name { "@EXPERIMENT" } else { "" };
                    return Err(Error::Config(format!(
                        "{place}: {name}.{param} = {value}, but its needs lack '{input}'; add '{input}{other}', or set \
                         another {param}"
                    )));
                }
                (false, true) => {
                    let needs = plan.place("needs");
                    return Err(Error::Config(format!(
                        "{needs}: '{name}' uses '{input}' for {param} = {value} only; leave it out, or set {param} ({place})"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
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
            ..Description::new("train", 1)
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
    fn a_parameter_that_is_not_there_or_is_no_list_decides_nothing() {
        let description = Description {
            unused_params: vec![
                Unused::while_lacks("terms", ["rcm"], &["rcm"]),
                Unused::while_is("net.kind", [json!("small")], &["width"]),
            ],
            ..Description::new("train", 1)
        };
        for params in [json!({"rcm": 1, "width": 2}), json!({"terms": "rcm", "net": "small", "rcm": 1, "width": 2})] {
            assert_eq!(description.effective(&params), params);
        }
    }

    #[test]
    fn a_description_comes_back_from_its_json() {
        let rules = vec![Unused::while_lacks("terms", ["rcm"], &["rcm"]), Unused::while_is("n", [1], &["m"])];
        let description = Description { unused_params: rules, ..Description::new("train", 1) };
        let text = serde_json::to_string(&description).unwrap();
        assert!(text.contains(r#"{"param":"terms","lacks":["rcm"],"unused":["rcm"]}"#), "{text}");
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), description);
    }
}
