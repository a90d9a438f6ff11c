//! SEAM: the pixel correlation module, its losses on two views and their gradients, against `tests/golden/seam.py`.

use tch::{Device, Tensor, nn};
use wsss::method::terms::cls::classification_loss;
use wsss::method::terms::seam::{Losses, View};
use wsss::model::CamOutput;
use wsss::model::pixel_correlation::{PixelCorrelation, normalized_scores, resize};

use crate::golden::{Golden, assert_close, assert_scalar, leaf};

/// Runs of the script that differ by some roundings lie up to 3.5e-6 apart; dropping an epsilon moves a map by 7e-5.
const TOLERANCE: f64 = 2e-5;
const HARDEST: f64 = 0.2;

/// What the network would make of a view, with a CAM that gradients are taken to.
fn seen(golden: &Golden, view: &str) -> CamOutput {
    let input = |name: &str| golden.get(&format!("input.{name}_{view}"));
    let cam = leaf(&input("cam"));
    let logits = cam.mean_dim([2, 3].as_slice(), false, tch::Kind::Float);
    CamOutput { feature: Tensor::new(), cam, logits, conv4: leaf(&input("conv4")), conv5: leaf(&input("conv5")) }
}

/// The module with the script's weights.
fn module(golden: &Golden) -> (nn::VarStore, PixelCorrelation) {
    let vs = nn::VarStore::new(Device::Cpu);
    let module = PixelCorrelation::new(&vs.root(), [8, 12], [4, 8]);
    for (name, variable) in vs.variables() {
        let stored = golden.get(&format!("input.{}", name.trim_end_matches(".weight")));
        tch::no_grad(|| variable.shallow_clone().copy_(&stored));
    }
    (vs, module)
}

/// Both views of the script: what the network sees, and the maps in the view's own size.
fn views(golden: &Golden) -> (nn::VarStore, [CamOutput; 2], [View; 2]) {
    let (vs, module) = module(golden);
    let images = [golden.get("input.image_o"), golden.get("map.image_t")];
    let outputs = ["o", "t"].map(|view| seen(golden, view));
    let view = |index: usize| {
        let (_, _, h, w) = images[index].size4().unwrap();
        let refined = module.refine(&outputs[index], &images[index]);
        View { cam: resize(&outputs[index].cam, [h, w]), refined: resize(&refined, [h, w]) }
    };
    let both = [view(0), view(1)];
    (vs, outputs, both)
}

#[test]
fn the_pixel_correlation_module_is_pytorchs() {
    let golden = Golden::open("seam.safetensors");
    let (_vs, module) = module(&golden);
    for (view, image) in [("o", golden.get("input.image_o")), ("t", golden.get("map.image_t"))] {
        let seen = seen(&golden, view);
        assert_close(view, &normalized_scores(&seen.cam), &golden.get(&format!("map.cam_norm_{view}")), TOLERANCE);
        let refined = module.refine(&seen, &image);
        assert_close(view, &refined, &golden.get(&format!("map.refined_{view}")), TOLERANCE);
        refined.sum(tch::Kind::Float).backward();
        let untouched = [&seen.cam, &seen.conv4, &seen.conv5].iter().all(|tensor| !tensor.grad().defined());
        assert!(untouched, "nothing flows back into the network");
    }
}

#[test]
fn the_losses_and_their_gradients_are_pytorchs() {
    let golden = Golden::open("seam.safetensors");
    let labels = golden.get("input.labels");
    for name in ["er", "ecr", "bg", "cls_t.grid"] {
        let (vs, outputs, [original, transformed]) = views(&golden);
        let losses = Losses::of(&original, &transformed, &labels, HARDEST);
        let loss = match name {
            "er" => losses.equivariant,
            "ecr" => losses.cross,
            "bg" => losses.background,
            _ => classification_loss(&outputs[1].logits, &labels),
        };
        assert_scalar(name, &loss, golden.scalar(&format!("loss.{name}")), TOLERANCE);
        loss.backward();
        let variables = vs.variables();
        let weights = variables.iter().map(|(variable, tensor)| (variable.trim_end_matches(".weight"), tensor));
        for (input, tensor) in weights.chain([("cam_o", &outputs[0].cam), ("cam_t", &outputs[1].cam)]) {
            let gradient = tensor.grad();
            let gradient = if gradient.defined() { gradient } else { tensor.zeros_like() };
            assert_close(&format!("{name} {input}"), &gradient, &golden.get(&format!("grad.{name}.{input}")), 1e-4);
        }
    }
}
