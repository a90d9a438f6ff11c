//! Whole training steps on a narrow net: the loss falls, the ablations run what they need, `SupportNet` follows.

use serde_json::json;
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Tensor};
use wsss::method::ema::MovingAverage;
use wsss::method::objective::{Losses, Objective, Tables};
use wsss::method::term::Site;
use wsss::method::views::{Batch, Networks, Views};
use wsss::model::{BackboneConfig, BackboneName, CamNet, CamNetConfig, Flat, Norm, WeightLayout};

use crate::golden::{noise, settle};

const CLASSES: i64 = 3;
const FEATURES: i64 = 16;

pub fn net(norm: Norm) -> (nn::VarStore, CamNet) {
    let vs = nn::VarStore::new(Device::Cpu);
    let backbone = BackboneConfig { name: BackboneName::MobileNetV2, width: 8, norm };
    let net = CamNet::new(&vs.root(), &CamNetConfig { backbone, features: FEATURES, classes: CLASSES });
    settle(&vs);
    (vs, net)
}

pub fn batch() -> Batch {
    let labels = Tensor::from_slice2(&[[1_f32, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]);
    let tint = labels.unsqueeze(-1).unsqueeze(-1) * 2.0; // [4, 3, 1, 1]
    let valid = noise("step.valid", &[4, 48, 40]).gt(-0.9);
    Batch { images: noise("step.images", &[4, 3, 48, 40]) + tint, labels, valid }
}

/// The tables of the manifest's terms: `cls`, `rcm`, `mam` and `seam` as the paper has them.
pub fn tables() -> Tables {
    let tables = json!({
        "cls": { "weight": 1.0, "from_epoch": 1 },
        "rcm": {
            "weight": 1.0, "from_epoch": 1, "threshold": 0.2, "temperature": 0.5, "form": "infonce",
            "supervision": "contrastive", "memory": 1,
        },
        "mam": { "weight": 1.0, "from_epoch": 2, "attention": "mam", "normalize": true, "reduction": "all" },
        "seam": {
            "weight": 1.0, "from_epoch": 1, "scale": 0.3, "channels": [4, 8], "hardest": 0.2,
            "suppress_background": true,
        },
    });
    tables.as_object().unwrap().clone().into_iter().collect()
}

/// The objective of these terms, with their own variables in `vs`.
pub fn objective(vs: &nn::VarStore, main: &CamNet, terms: &[&str], tables: &Tables) -> Objective {
    let root = vs.root() / "terms";
    let terms: Vec<_> = terms.iter().map(|name| (*name).to_owned()).collect();
    let site = |name: &'static str| Site {
        path: &root / name,
        classes: CLASSES,
        features: FEATURES,
        taps: main.taps(),
        device: Device::Cpu,
    };
    Objective::new(&terms, tables, site).unwrap()
}

/// Sets one entry of a term's table.
fn set(tables: &mut Tables, term: &str, name: &str, value: serde_json::Value) {
    tables.get_mut(term).unwrap()[name] = value;
}

const SCALES: [f64; 3] = [0.5, 1.0, 2.0];
/// The epoch in which `mam` has not begun, and that in which it has.
const WAITING: u32 = 1;
const ACTIVE: u32 = 2;

/// One step's losses of these networks on [`batch`].
fn losses(objective: &mut Objective, main: &CamNet, support: &CamNet, epoch: u32) -> Losses {
    objective.loss(&Views::new(&batch(), Networks { main, support, scales: &SCALES }), epoch, Tensor::backward)
}

#[test]
fn the_loss_falls_over_ten_steps() {
    for (terms, supervision) in [
        (&["cls", "rcm", "mam"][..], "contrastive"),
        (&["cls", "rcm", "mam"], "direct"),
        (&["cls", "seam"], "contrastive"),
    ] {
        // Frozen norms and a support net that stands still: what is learnt from does not move.
        let ((main_vs, main), (_support_vs, support)) = (net(Norm::Frozen), net(Norm::Frozen));
        let mut tables = tables();
        set(&mut tables, "rcm", "supervision", json!(supervision));
        let mut objective = objective(&main_vs, &main, terms, &tables);
        settle(&main_vs);
        let mut optimizer = nn::sgd(0.0, 0.0, 0.0, false).build(&main_vs, 0.002).unwrap();
        let mut values = Vec::new();
        for _ in 0..10 {
            let step = losses(&mut objective, &main, &support, ACTIVE);
            values.push(step.total.double_value(&[]));
            optimizer.step();
            optimizer.zero_grad();
        }
        assert!(values.iter().all(|loss| loss.is_finite()), "{values:?}");
        assert!(values[9] < values[0], "{terms:?} {supervision}: {values:?}");
    }
}

#[test]
fn the_other_scales_of_mam_leave_running_statistics_to_scale_1() {
    let statistics = |epoch| {
        let ((main_vs, main), (_support_vs, support)) = (net(Norm::Train), net(Norm::Train));
        let mut objective = objective(&main_vs, &main, &["cls", "mam"], &tables());
        losses(&mut objective, &main, &support, epoch);
        assert!(main_vs.variables().values().filter(|v| v.requires_grad()).all(|v| v.grad().defined()));
        let mut all: Vec<_> = main_vs.variables().into_iter().filter(|(name, _)| name.contains("running_")).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    };
    let (still, moved) = (statistics(WAITING), statistics(ACTIVE));
    assert!(!still.is_empty() && still == moved);
}

#[test]
fn the_total_is_the_weighted_sum_of_its_terms() {
    let ((main_vs, main), (_support_vs, support)) = (net(Norm::Frozen), net(Norm::Frozen));
    let mut tables = tables();
    set(&mut tables, "cls", "weight", json!(0.5));
    set(&mut tables, "mam", "weight", json!(3.0));
    let mut objective = objective(&main_vs, &main, &["cls", "rcm", "mam"], &tables);
    let Losses { total, terms } = losses(&mut objective, &main, &support, ACTIVE);
    let value = |t: &Tensor| t.double_value(&[]);
    let [cls, rcm, mam] = [0, 1, 2].map(|term| value(terms[term].as_ref().unwrap()));
    assert!((value(&total) - 0.5 * cls - rcm - 3.0 * mam).abs() < 1e-5);
    assert_eq!(objective.names(), ["cls", "rcm", "mam"]);
}

/// A network whose output is not a number: whoever runs it is found out.
fn poisoned() -> (nn::VarStore, CamNet) {
    let (vs, net) = net(Norm::Frozen);
    tch::no_grad(|| {
        let _ = vs.variables().get_mut("classifier.weight").unwrap().fill_(f64::NAN);
    });
    (vs, net)
}

#[test]
fn what_no_term_asks_for_is_not_computed() {
    let ((main_vs, main), (_support_vs, support)) = (net(Norm::Frozen), poisoned());
    for (terms, epoch) in [(&["cls"][..], ACTIVE), (&["cls", "mam"], WAITING), (&["cls", "seam"], ACTIVE)] {
        let step = losses(&mut objective(&main_vs, &main, terms, &tables()), &main, &support, epoch);
        assert!(step.total.double_value(&[]).is_finite(), "{terms:?}");
        assert_eq!(step.terms.iter().flatten().count(), if epoch == WAITING { 1 } else { terms.len() });
    }
    let step = losses(&mut objective(&main_vs, &main, &["cls", "mam"], &tables()), &main, &support, ACTIVE);
    assert!(step.total.double_value(&[]).is_nan(), "the attentive module does run it");
}

#[test]
fn the_main_net_sees_other_scales_only_for_the_multi_scale_modules() {
    // Where every scale is 1, each that it sees adds the same loss.
    let loss = |attention: &str| {
        let ((main_vs, main), (support_vs, support)) = (net(Norm::Frozen), net(Norm::Frozen));
        tch::no_grad(|| {
            let mut classifier = support_vs.variables().remove("classifier.weight").unwrap();
            let _ = classifier.g_add_(&noise("step.support", &classifier.size()));
        });
        let mut tables = tables();
        set(&mut tables, "mam", "attention", json!(attention));
        let mut objective = objective(&main_vs, &main, &["cls", "mam"], &tables);
        let networks = Networks { main: &main, support: &support, scales: &[1.0; 3] };
        let step = objective.loss(&Views::new(&batch(), networks), ACTIVE, |_| {});
        step.terms[1].as_ref().unwrap().double_value(&[])
    };
    let once = loss("smm");
    assert!(once > 1e-3, "{once}");
    assert!((loss("mmm") / once - 3.0).abs() < 1e-4);
}

#[test]
fn a_table_that_cannot_be_is_refused_by_name() {
    let refused = |terms: &[&str], change: &dyn Fn(&mut Tables)| {
        let mut tables = tables();
        change(&mut tables);
        let terms: Vec<_> = terms.iter().map(|name| (*name).to_owned()).collect();
        wsss::method::objective::check(&terms, &tables).err().expect("it is refused").to_string()
    };
    let same = |_: &mut Tables| {};
    assert!(
        refused(&["cls", "rmc"], &same).starts_with("terms: there is no term 'rmc'; there are cls, rcm, mam, seam")
    );
    assert!(refused(&["cls", "cls"], &same).starts_with("terms: 'cls' stands there twice"));
    assert!(refused(&[], &same).starts_with("terms: list at least one"));
    assert!(refused(&["mam"], &same).starts_with("terms: none takes part in epoch 1"));
    assert!(refused(&["cls", "rcm"], &|t| drop(t.remove("rcm"))).starts_with("terms: 'rcm' is listed"));
    assert!(refused(&["cls"], &|t| drop(t.insert("rmc".into(), json!({})))).starts_with("rmc: unknown entry"));
    assert!(refused(&["cls"], &|t| set(t, "cls", "weight", json!(-1))).starts_with("cls.weight: -1 is no weight"));
    assert!(refused(&["cls"], &|t| set(t, "rcm", "threshold", json!(1.5))).starts_with("rcm.threshold: 1.5"));
    assert!(refused(&["cls"], &|t| set(t, "rcm", "tempo", json!(1))).starts_with("rcm.tempo: unknown field"));
    assert!(
        refused(&["cls"], &|t| set(t, "mam", "attention", json!("man"))).starts_with("mam.attention: unknown variant")
    );
    let missing = refused(&["cls"], &|t| drop(t.get_mut("mam").unwrap().as_object_mut().unwrap().remove("weight")));
    assert!(missing.starts_with("mam.weight: missing field"), "{missing}");
}

#[test]
fn the_support_net_averages_parameters_and_copies_buffers() {
    let ((main_vs, _main), (support_vs, _support)) = (net(Norm::Train), net(Norm::Train));
    tch::no_grad(|| {
        for mut variable in main_vs.variables().into_values() {
            let _ = variable.fill_(1.0);
        }
        for mut variable in support_vs.variables().into_values() {
            let _ = variable.fill_(0.0);
        }
    });
    let [main, support] = [&main_vs, &support_vs].map(|vs| Flat::of(vs, WeightLayout::Plain));
    MovingAverage::new(support, &main, 0.75).update();
    for (name, variable) in support_vs.variables() {
        let expected = if name.contains("running_") { 1.0 } else { 0.25 };
        assert_eq!(variable, Tensor::full_like(&variable, expected), "{name}");
        assert_eq!(variable.kind(), Kind::Float);
    }
}
