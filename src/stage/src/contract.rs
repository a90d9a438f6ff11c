//! What a stage says of itself (`--describe`), and how that and the manifest give its key.

use std::collections::BTreeMap;

use artifact::{Error, Fingerprints, Preimage, Result, StageId, StagePlan};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// Parameters that have no effect while another has certain values: not in the key then.
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

/// "While `param` is one of `values`, `unused` have no effect."
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unused {
    /// The deciding parameter.
    pub param: String,
    /// Its values.
    pub values: Vec<Value>,
    /// The parameters without effect. Dotted names.
    pub unused: Vec<String>,
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
        let mut params = plan.params.clone();
        for name in &self.execution_params {
            take(&mut params, name);
        }
        for rule in &self.unused_params {
            if params.get(&rule.param).is_some_and(|value| rule.values.contains(value)) {
                rule.unused.iter().for_each(|name| drop(take(&mut params, name)));
            }
        }
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

/// Removes and returns the value at a dotted name.
fn take(params: &mut Value, name: &str) -> Option<Value> {
    match name.split_once('.') {
        Some((head, rest)) => take(params.get_mut(head)?, rest),
        None => params.as_object_mut()?.remove(name),
    }
}
