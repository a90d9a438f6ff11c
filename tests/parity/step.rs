//! Whole training steps on a narrow net: the loss falls, the ablations run what they need, `SupportNet` follows.

use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Tensor};
use wsss::method::ema;
use wsss::method::mam::{Attention, MamOptions, Reduction};
use wsss::method::objective::{Batch, MamPhase, MamSettings, Objective, RcmOptions, StepLoss, Supervision};
use wsss::method::rcm::{Prototypes, RcmForm};
use wsss::model::{BackboneConfig, BackboneName, CamNet, CamNetConfig, Norm};

use crate::golden::{noise, settle};

const CLASSES: i64 = 3;
const FEATURES: i64 = 16;

fn net(norm: Norm) -> (nn::VarStore, CamNet) {
    let vs = nn::VarStore::new(Device::Cpu);
    let backbone = BackboneConfig { name: BackboneName::MobileNetV2, width: 8, norm };
    let net = CamNet::new(&vs.root(), &CamNetConfig { backbone, features: FEATURES, classes: CLASSES });
    settle(&vs);
    (vs, net)
}

fn batch() -> Batch {
    let labels = Tensor::from_slice2(&[[1_f32, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]);
    let tint = labels.unsqueeze(-1).unsqueeze(-1) * 2.0; // [4, 3, 1, 1]
    let valid = noise("step.valid", &[4, 48, 40]).gt(-0.9);
    Batch { images: noise("step.images", &[4, 3, 48, 40]) + tint, labels, valid }
}

fn rcm(supervision: Supervision) -> RcmOptions {
    RcmOptions { threshold: 0.2, temperature: 0.5, form: RcmForm::InfoNce, supervision, weight: 1.0 }
}

fn mam(variant: Attention) -> MamSettings {
    MamSettings { options: MamOptions { variant, normalize: true, reduction: Reduction::All }, weight: 1.0 }
}

fn objective(rcm: Option<RcmOptions>, mam: Option<MamSettings>) -> Objective {
    Objective { cls_weight: 1.0, rcm, mam, support_scales: vec![0.5, 1.0, 2.0] }
}

fn prototypes() -> Prototypes {
    Prototypes::new(CLASSES, FEATURES, 1, Device::Cpu)
}

#[test]
fn the_loss_falls_over_ten_steps() {
    for supervision in [Supervision::Contrastive, Supervision::Direct] {
        let (objective, batch) = (objective(Some(rcm(supervision)), Some(mam(Attention::Mam))), batch());
        // Frozen norms and a support net that stands still: what is learnt from does not move.
        let ((main_vs, main), (_support_vs, support)) = (net(Norm::Frozen), net(Norm::Frozen));
        let mut prototypes = prototypes();
        let mut optimizer = nn::sgd(0.0, 0.0, 0.0, false).build(&main_vs, 0.002).unwrap();
        let mut losses = Vec::new();
        for _ in 0..10 {
            let step = objective.step_loss(&main, &support, &batch, &mut prototypes, MamPhase::Active);
            losses.push(step.total.double_value(&[]));
            optimizer.backward_step(&step.total);
        }
        assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        assert!(losses[9] < losses[0], "{supervision:?}: {losses:?}");
    }
}

#[test]
fn the_other_scales_of_mam_leave_running_statistics_to_scale_1() {
    let statistics = |phase| {
        let ((main_vs, main), (_support_vs, support)) = (net(Norm::Train), net(Norm::Train));
        let objective = objective(None, Some(mam(Attention::Mam)));
        let step = objective.step_loss(&main, &support, &batch(), &mut prototypes(), phase);
        step.total.backward();
        assert!(main_vs.variables().values().filter(|v| v.requires_grad()).all(|v| v.grad().defined()));
        let mut all: Vec<_> = main_vs.variables().into_iter().filter(|(name, _)| name.contains("running_")).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    };
    let (still, moved) = (statistics(MamPhase::Waiting), statistics(MamPhase::Active));
    assert!(!still.is_empty() && still == moved);
}

#[test]
fn the_total_is_the_weighted_sum_of_its_parts() {
    let ((_main_vs, main), (_support_vs, support)) = (net(Norm::Frozen), net(Norm::Frozen));
    let mut objective = objective(Some(rcm(Supervision::Contrastive)), Some(mam(Attention::Mam)));
    objective.cls_weight = 0.5;
    objective.mam.as_mut().unwrap().weight = 3.0;
    let step = objective.step_loss(&main, &support, &batch(), &mut prototypes(), MamPhase::Active);
    let StepLoss { total, cls, rcm: Some(rcm), mam: Some(mam), regions: Some(regions) } = step else {
        panic!("a part is missing")
    };
    let value = |t: &Tensor| t.double_value(&[]);
    assert!((value(&total) - 0.5 * value(&cls) - value(&rcm) - 3.0 * value(&mam)).abs() < 1e-5);
    assert_eq!(regions.size(), [4, 48, 40]);
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
fn the_baseline_does_not_run_the_support_net() {
    let ((_main_vs, main), (_support_vs, support)) = (net(Norm::Frozen), poisoned());
    let mut prototypes = prototypes();
    for (objective, phase) in
        [(objective(None, None), MamPhase::Active), (objective(None, Some(mam(Attention::Mam))), MamPhase::Waiting)]
    {
        let step = objective.step_loss(&main, &support, &batch(), &mut prototypes, phase);
        assert!(step.total.double_value(&[]).is_finite());
        assert!(step.rcm.is_none() && step.mam.is_none() && step.regions.is_none());
    }
    let step = objective(None, Some(mam(Attention::Mam))).step_loss(
        &main,
        &support,
        &batch(),
        &mut prototypes,
        MamPhase::Active,
    );
    assert!(step.total.double_value(&[]).is_nan(), "the attentive module does run it");
}

#[test]
fn the_main_net_sees_other_scales_only_for_the_multi_scale_modules() {
    // Where every scale is 1, each that it sees adds the same loss.
    let loss = |variant| {
        let ((_main_vs, main), (support_vs, support)) = (net(Norm::Frozen), net(Norm::Frozen));
        tch::no_grad(|| {
            let mut classifier = support_vs.variables().remove("classifier.weight").unwrap();
            let _ = classifier.g_add_(&noise("step.support", &classifier.size()));
        });
        let objective = Objective { support_scales: vec![1.0; 3], ..objective(None, Some(mam(variant))) };
        let step = objective.step_loss(&main, &support, &batch(), &mut prototypes(), MamPhase::Active);
        step.mam.unwrap().double_value(&[])
    };
    let once = loss(Attention::Smm);
    assert!(once > 1e-3, "{once}");
    assert!((loss(Attention::Mmm) / once - 3.0).abs() < 1e-4);
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
    ema::update(&support_vs, &main_vs, 0.75);
    for (name, variable) in support_vs.variables() {
        let expected = if name.contains("running_") { 1.0 } else { 0.25 };
        assert_eq!(variable, Tensor::full_like(&variable, expected), "{name}");
        assert_eq!(variable.kind(), Kind::Float);
    }
}
