//! What the paper's rows are about: the terms of a training's objective, and the options that the paper varies.

use serde_json::Value;

/// An option by its JSON pointer, and its value.
type Choice = (&'static str, &'static str);

const EMA: Choice = ("/support/update", "ema");
const SHARED: Choice = ("/support/update", "shared");
const CONTRASTIVE: Choice = ("/rcm/supervision", "contrastive");
const DIRECT: Choice = ("/rcm/supervision", "direct");
const SMM_ATTENTION: Choice = ("/mam/attention", "smm");
const MMM_ATTENTION: Choice = ("/mam/attention", "mmm");
const MAM_ATTENTION: Choice = ("/mam/attention", "mam");

/// A kind of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind {
    /// The terms of its objective: these and no other.
    terms: &'static [&'static str],
    /// What of their options makes it this kind.
    choices: &'static [Choice],
}

pub(super) const BASELINE: Kind = Kind { terms: &["cls"], choices: &[] };
pub(super) const SMM: Kind = Kind { terms: &["cls", "mam"], choices: &[SMM_ATTENTION, EMA] };
pub(super) const MMM: Kind = Kind { terms: &["cls", "mam"], choices: &[MMM_ATTENTION, EMA] };
pub(super) const MAM: Kind = Kind { terms: &["cls", "mam"], choices: &[MAM_ATTENTION, EMA] };
pub(super) const RCM: Kind = Kind { terms: &["cls", "rcm"], choices: &[CONTRASTIVE, EMA] };
pub(super) const RCM_DIRECT: Kind = Kind { terms: &["cls", "rcm"], choices: &[DIRECT, EMA] };
pub(super) const RCM_SHARED: Kind = Kind { terms: &["cls", "rcm"], choices: &[CONTRASTIVE, SHARED] };
pub(super) const RCM_MMM: Kind = Kind { terms: &["cls", "rcm", "mam"], choices: &[CONTRASTIVE, MMM_ATTENTION, EMA] };
pub(super) const RCM_MAM: Kind = Kind { terms: &["cls", "rcm", "mam"], choices: &[CONTRASTIVE, MAM_ATTENTION, EMA] };
/// The method of the paper's \[49\].
pub(super) const SEAM: Kind = Kind { terms: &["cls", "seam"], choices: &[] };

impl Kind {
    /// Is a training with these parameters of this kind? The order of its terms does not matter.
    pub fn includes(self, train: &Value) -> bool {
        let Some(terms) = train.get("terms").and_then(Value::as_array) else { return false };
        let same = terms.len() == self.terms.len()
            && self.terms.iter().all(|term| terms.iter().any(|listed| listed.as_str() == Some(term)));
        let chosen = |(pointer, value): &Choice| train.pointer(pointer).and_then(Value::as_str) == Some(value);
        same && self.choices.iter().all(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_are_told_apart_by_terms_and_options() {
        let support = json!({"update": "ema"});
        let both = |attention: &str| {
            let (rcm, mam) = (json!({"supervision": "contrastive"}), json!({"attention": attention}));
            json!({"terms": ["mam", "cls", "rcm"], "rcm": rcm, "mam": mam, "support": support})
        };
        let all = [BASELINE, SMM, MMM, MAM, RCM, RCM_DIRECT, RCM_SHARED, RCM_MMM, RCM_MAM, SEAM];
        let of = |train: &Value| all.into_iter().filter(|kind| kind.includes(train)).collect::<Vec<_>>();
        assert_eq!(of(&both("mam")), [RCM_MAM]);
        assert_eq!(of(&both("mmm")), [RCM_MMM]);
        assert_eq!(of(&both("smm")), [], "the paper has no row of RCM and SMM");
        assert_eq!(of(&json!({"terms": ["cls"]})), [BASELINE]);
        assert_eq!(of(&json!({"terms": ["cls", "seam"], "seam": {"weight": 1.0}})), [SEAM]);
        assert_eq!(of(&json!({"terms": ["cls", "seam", "rcm"]})), [], "another term makes another method");
        assert_eq!(of(&json!({"variant": "baseline"})), [], "a training of an earlier version lists no terms");
    }
}
