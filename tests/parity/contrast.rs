//! msinf-CAM, region masks, prototypes and the contrastive loss, Eqs. 1-5, in both of their forms.

use tch::{Device, Kind, Tensor};
use wsss::method::cam::{msinf, upsample};
use wsss::method::interpolation::Interpolation;
use wsss::method::rcm::{Prototypes, RcmForm, rcm_loss, rcm_loss_compact, region_masks};

use crate::golden::{Golden, assert_close, assert_scalar, leaf, noise, relative};

const TOLERANCE: f64 = 1e-4;
const THRESHOLD: f64 = 0.2;
const TEMPERATURE: f64 = 0.5;

fn class_ids(one_hot: &Tensor) -> Tensor {
    one_hot.argmax(1, false)
}

fn support_cams(golden: &Golden) -> Vec<Tensor> {
    ["s", "m", "l"].map(|scale| golden.get(&format!("raw.support.{scale}"))).into()
}

#[test]
fn msinf_and_masks_are_pytorchs() {
    let golden = Golden::open("method.safetensors");
    let found = msinf(&support_cams(&golden), &golden.get("labels"));
    assert_close("msinf", &found, &golden.get("msinf"), TOLERANCE);
    assert_eq!(region_masks(&found, THRESHOLD), class_ids(&golden.get("masks")), "masks are exact");
}

#[test]
fn prototypes_of_two_batches_are_pytorchs() {
    let golden = Golden::open("method.safetensors");
    let mut prototypes = Prototypes::new(5, 16, 1, Device::Cpu);
    for (features, masks, batch) in
        [("features.support", "masks", "first"), ("second.features", "second.masks", "second")]
    {
        prototypes.update(&golden.get(features), &class_ids(&golden.get(masks)), None);
        let expected = golden.get(&format!("prototypes.{batch}"));
        let seen = golden.get(&format!("prototypes.{batch}_seen"));
        assert_close(batch, &prototypes.normalized(), &expected, TOLERANCE);
        assert_eq!(prototypes.seen().to_kind(Kind::Float), seen, "{batch}: seen classes");
    }
}

#[test]
fn the_contrastive_loss_and_its_gradient_are_pytorchs() {
    let golden = Golden::open("method.safetensors");
    let regions = class_ids(&golden.get("masks"));
    let mut prototypes = Prototypes::new(5, 16, 1, Device::Cpu);
    prototypes.update(&golden.get("features.support"), &regions, None);
    for (form, name) in [(RcmForm::InfoNce, "infonce"), (RcmForm::Printed, "printed")] {
        for loss_of in [rcm_loss, rcm_loss_compact] {
            let features = leaf(&golden.get("features.main"));
            let loss = loss_of(&features, &prototypes, &regions, None, form, TEMPERATURE);
            loss.backward();
            assert_scalar(name, &loss, golden.scalar(&format!("rcm.{name}.loss")), TOLERANCE);
            assert_close(name, &features.grad(), &golden.get(&format!("rcm.{name}.grad")), TOLERANCE);
        }
    }
}

/// Features at stride 8, regions with every class but one, and padding, on grids that do not divide.
fn compact_case() -> (Tensor, Tensor, Tensor) {
    let size = [29, 43];
    let features = noise("compact.features", &[3, 16, 4, 6]);
    let scores = upsample(&noise("compact.scores", &[3, 4, 5, 7]), size);
    let regions = region_masks(&scores, 0.1);
    let valid = noise("compact.valid", &[3, size[0], size[1]]).gt(-0.7);
    (features, regions, valid)
}

#[test]
fn compact_and_plain_prototypes_agree() {
    let (features, regions, valid) = compact_case();
    let full = upsample(&features, [29, 43]);
    for valid in [None, Some(&valid)] {
        let (mut plain, mut compact) = (Prototypes::new(5, 16, 2, Device::Cpu), Prototypes::new(5, 16, 2, Device::Cpu));
        for shift in 0..3 {
            let (full, features) = (&full + f64::from(shift), &features + f64::from(shift));
            plain.update(&full, &regions, valid);
            compact.update_compact(&features, &regions, valid);
            assert_close("prototypes", &compact.table(), &plain.table(), 1e-5);
            assert_eq!(compact.seen(), plain.seen());
        }
        assert_eq!(i64::try_from(&plain.seen().sum(Kind::Int64)).unwrap(), 5, "the fifth class has no region");
    }
}

#[test]
fn compact_and_plain_losses_agree_with_their_gradients() {
    let (features, regions, valid) = compact_case();
    let mut prototypes = Prototypes::new(5, 16, 1, Device::Cpu);
    prototypes.update_compact(&features, &regions, Some(&valid));
    for features in [features.shallow_clone(), features.relu()] {
        for form in [RcmForm::InfoNce, RcmForm::Printed] {
            let (plain, compact) = (leaf(&features), leaf(&features));
            let full = upsample(&plain, [29, 43]);
            let plain_loss = rcm_loss(&full, &prototypes, &regions, Some(&valid), form, TEMPERATURE);
            let compact_loss = rcm_loss_compact(&compact, &prototypes, &regions, Some(&valid), form, TEMPERATURE);
            assert_close("loss", &compact_loss.reshape([1]), &plain_loss.reshape([1]), 1e-5);
            plain_loss.backward();
            compact_loss.backward();
            assert_close("gradient", &compact.grad(), &plain.grad(), 1e-5);
        }
    }
}

#[test]
fn interpolation_is_upsampling_and_down_its_adjoint() {
    let (x, m) = (noise("interpolation.x", &[2, 3, 5, 7]), noise("interpolation.m", &[2, 3, 40, 51]));
    let map = Interpolation::new([5, 7], [40, 51], Device::Cpu);
    assert_close("up", &map.up(&x), &upsample(&x, [40, 51]), 1e-5);
    let (one, other) = ((map.up(&x) * &m).sum(Kind::Double), (map.down(&m) * &x).sum(Kind::Double));
    assert_close("adjoint", &one.reshape([1]), &other.reshape([1]), 1e-4);
    let squares = upsample(&x, [40, 51]).square().sum_dim_intlist([1].as_slice(), true, Kind::Float);
    assert_close("norms", &map.squared_norm(&x), &squares, 1e-5);
}

#[test]
fn padding_changes_nothing() {
    let (features, regions, valid) = compact_case();
    let disturbed = regions.where_self(&valid, &regions.zeros_like());
    let losses = [&regions, &disturbed].map(|regions| {
        let mut prototypes = Prototypes::new(5, 16, 1, Device::Cpu);
        prototypes.update_compact(&features, regions, Some(&valid));
        rcm_loss_compact(&features, &prototypes, regions, Some(&valid), RcmForm::InfoNce, TEMPERATURE)
    });
    assert!(relative(&losses[0].reshape([1]), &losses[1].reshape([1])) < 1e-6);
}

#[test]
fn a_checkpoint_restores_prototypes() {
    let (features, regions, valid) = compact_case();
    let mut prototypes = Prototypes::new(5, 16, 2, Device::Cpu);
    prototypes.update_compact(&features, &regions, Some(&valid));
    let mut restored = Prototypes::new(5, 16, 2, Device::Cpu);
    for ((name, mut into), (same, from)) in restored.tensors().into_iter().zip(prototypes.tensors()) {
        assert_eq!(name, same);
        into.copy_(&from);
    }
    for table in [&mut prototypes, &mut restored] {
        table.update_compact(&(&features * 2.0), &regions, None);
    }
    assert_eq!(restored.table(), prototypes.table());
}
