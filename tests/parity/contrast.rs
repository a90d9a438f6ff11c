//! msinf-CAM, region masks, prototypes and the contrastive loss, Eqs. 1-5: against `PyTorch`, and against their plain
//! forms.

use tch::{Device, Kind, Tensor};
use wsss::method::cam::{msinf, upsample};
use wsss::method::interpolation::Interpolation;
use wsss::method::terms::rcm::{Prototypes, RcmForm, contrastive_loss, region_masks, similarity};

use crate::golden::{Golden, assert_close, assert_scalar, leaf, noise, relative};
use crate::plain;

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

/// Every pixel is of the image.
fn whole(regions: &Tensor) -> Tensor {
    regions.ones_like().to_kind(Kind::Bool)
}

/// The loss as the term computes it.
fn loss_of(features: &Tensor, prototypes: &Prototypes, regions: &Tensor, valid: &Tensor, form: RcmForm) -> Tensor {
    let (_, height, width) = regions.size3().unwrap();
    contrastive_loss(&similarity(features, prototypes, [height, width], TEMPERATURE), regions, valid, form)
}

#[test]
fn prototypes_of_two_batches_are_pytorchs() {
    let golden = Golden::open("method.safetensors");
    let mut prototypes = Prototypes::new(5, 16, 1, Device::Cpu);
    for (features, masks, batch) in
        [("features.support", "masks", "first"), ("second.features", "second.masks", "second")]
    {
        let regions = class_ids(&golden.get(masks));
        prototypes.update(&golden.get(features), &regions, &whole(&regions));
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
    let valid = whole(&regions);
    let mut prototypes = Prototypes::new(5, 16, 1, Device::Cpu);
    prototypes.update(&golden.get("features.support"), &regions, &valid);
    for (form, name) in [(RcmForm::InfoNce, "infonce"), (RcmForm::Printed, "printed")] {
        let (features, plain) = (leaf(&golden.get("features.main")), leaf(&golden.get("features.main")));
        let table = (&prototypes.table(), &prototypes.seen());
        for (features, loss) in [
            (&features, loss_of(&features, &prototypes, &regions, &valid, form)),
            (&plain, plain::contrastive_loss(&plain, table, &regions, &valid, form, TEMPERATURE)),
        ] {
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
fn prototypes_are_those_of_features_at_the_images_grid() {
    let (features, regions, valid) = compact_case();
    let full = upsample(&features, [29, 43]);
    for valid in [&whole(&regions), &valid] {
        let mut prototypes = Prototypes::new(5, 16, 2, Device::Cpu);
        let mut last: Option<Tensor> = None;
        for shift in 0..3 {
            let (full, features) = (&full + f64::from(shift), &features + f64::from(shift));
            prototypes.update(&features, &regions, valid);
            let (vectors, seen) = plain::prototypes(&full, &regions, valid, 5);
            let mean = last.map_or_else(|| vectors.shallow_clone(), |last| (last + &vectors) / 2.0);
            assert_close("prototypes", &prototypes.table(), &mean, 1e-5);
            assert_eq!(prototypes.seen(), seen);
            last = Some(vectors);
        }
        let count = i64::try_from(&prototypes.seen().sum(Kind::Int64)).unwrap();
        assert_eq!(count, 5, "the fifth class has no region");
    }
}

#[test]
fn the_loss_is_that_of_features_at_the_images_grid_with_its_gradient() {
    let (features, regions, valid) = compact_case();
    let mut prototypes = Prototypes::new(5, 16, 1, Device::Cpu);
    prototypes.update(&features, &regions, &valid);
    for features in [features.shallow_clone(), features.relu()] {
        for form in [RcmForm::InfoNce, RcmForm::Printed] {
            let (plain, compact) = (leaf(&features), leaf(&features));
            let full = upsample(&plain, [29, 43]);
            let table = (&prototypes.table(), &prototypes.seen());
            let plain_loss = plain::contrastive_loss(&full, table, &regions, &valid, form, TEMPERATURE);
            let compact_loss = loss_of(&compact, &prototypes, &regions, &valid, form);
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
        prototypes.update(&features, regions, &valid);
        loss_of(&features, &prototypes, regions, &valid, RcmForm::InfoNce)
    });
    assert!(relative(&losses[0].reshape([1]), &losses[1].reshape([1])) < 1e-6);
}

#[test]
fn a_checkpoint_restores_prototypes() {
    let (features, regions, valid) = compact_case();
    let mut prototypes = Prototypes::new(5, 16, 2, Device::Cpu);
    prototypes.update(&features, &regions, &valid);
    let mut restored = Prototypes::new(5, 16, 2, Device::Cpu);
    for ((name, mut into), (same, from)) in restored.tensors().into_iter().zip(prototypes.tensors()) {
        assert_eq!(name, same);
        into.copy_(&from);
    }
    for table in [&mut prototypes, &mut restored] {
        table.update(&(&features * 2.0), &regions, &whole(&regions));
    }
    assert_eq!(restored.table(), prototypes.table());
}
