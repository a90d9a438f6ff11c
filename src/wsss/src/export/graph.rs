//! The graph of a trained network, from a picture's values to what one wants of it.

use artifact::Result;
use tch::Device;

use super::{Model, Network};
use crate::model::graph::{Graph, Value};
use crate::model::{Affine, CamNet, CamOutput, DeepLab, FeatureMap as _, Mode};

/// The input of every graph: RGB of 0 to 255, `[B, 3, H, W]`.
pub const IMAGE: &str = "image";
/// What a network says of the classes: of each pixel (segmentation network, `[B, K + 1, H, W]`) or of the picture
/// (classifier, `[B, K]`).
pub const LOGITS: &str = "logits";
/// The classifier's activation maps before `ReLU`, `[B, K, ceil(H / 8), ceil(W / 8)]`.
pub const CAM: &str = "cam";

/// The graph of an exported network.
pub fn of(model: &Model) -> Result<Graph> {
    let about = &model.about;
    let normalization = Affine::new(
        about.std.map(|std| 1.0 / (255.0 * std)),
        [0, 1, 2].map(|channel| -about.mean[channel] / about.std[channel]),
        Device::Cpu,
    );
    Ok(match about.network {
        Network::Deeplab { .. } => of_deeplab(&model.deeplab(Device::Cpu)?, &normalization),
        Network::Classifier { .. } => of_classifier(&model.classifier(Device::Cpu)?, &normalization),
    })
}

/// Logits in the size of the picture, whose values become the network's input by `normalization`.
pub fn of_deeplab(net: &DeepLab, normalization: &Affine) -> Graph {
    Graph::record(|image: &Value| {
        let logits = net.forward(&image.affine(normalization), Mode::Eval); // [B, K + 1, h, w]
        [(LOGITS, logits.upsample())] // [B, K + 1, H, W]
    })
}

/// Activation maps and logits of a picture, whose values become the network's input by `normalization`.
pub fn of_classifier(net: &CamNet, normalization: &Affine) -> Graph {
    Graph::record(|image: &Value| {
        let CamOutput { cam, logits, .. } = net.forward(&image.affine(normalization), Mode::Eval);
        [(CAM, cam), (LOGITS, logits)]
    })
}
