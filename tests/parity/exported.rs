//! Exported networks in other programs: ONNX models in onnxruntime, safetensors in `PyTorch`, against our own forward.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn};
use wsss::export::graph::{of_classifier, of_deeplab};
use wsss::export::onnx::{self, Variables};
use wsss::method::cam::upsample;
use wsss::model::graph::{Graph, Operation};
use wsss::model::{Affine, BackboneConfig, BackboneName, CamNet, CamNetConfig, DeepLab, Mode, Norm};
use wsss::tensor::floats;

use crate::golden::{Golden, assert_close, noise};
use crate::peers;

/// Batches, heights and widths: odd, even, and of both kinds at every stride.
const SIZES: [[i64; 3]; 3] = [[1, 65, 97], [2, 128, 128], [1, 321, 242]];
const CLASSES: i64 = 5;

/// A network with its variables.
enum Net {
    Segmentation(DeepLab),
    Classifier(CamNet),
}

struct Exported {
    net: Net,
    graph: Graph,
    variables: Variables,
}

/// From values of 0 to 255 to about -2..2, another one for every channel.
fn normalization() -> Affine {
    Affine::new([0.017, 0.0175, 0.0174], [-2.1, -2.0, -1.8], Device::Cpu)
}

impl Exported {
    fn new(name: BackboneName, classifier: bool) -> Self {
        let vs = nn::VarStore::new(Device::Cpu);
        let width = if name == BackboneName::MobileNetV2 { 8 } else { 4 };
        let backbone = BackboneConfig { name, width, norm: Norm::Frozen };
        let net = if classifier {
            Net::Classifier(CamNet::new(&vs.root(), &CamNetConfig { backbone, features: 16, classes: CLASSES }))
        } else {
            Net::Segmentation(DeepLab::new(&vs.root(), &backbone, CLASSES + 1, 16))
        };
        // Weights, and statistics of normalisations, that depend on their names.
        Golden::open("network.safetensors").fill(&vs);
        let graph = match &net {
            Net::Segmentation(net) => of_deeplab(net, &normalization()),
            Net::Classifier(net) => of_classifier(net, &normalization()),
        };
        let variable = |(name, value): (String, Tensor)| {
            let shape = value.size().iter().map(|side| *side as usize).collect();
            (name, (shape, floats(&value)))
        };
        Self { net, graph, variables: vs.variables().into_iter().map(variable).collect() }
    }

    /// What our own forward gives of values of 0 to 255.
    fn outputs(&self, images: &Tensor) -> BTreeMap<&'static str, Tensor> {
        let Affine { factor, offset } = normalization();
        let input = images * factor + offset;
        let (_, _, h, w) = images.size4().unwrap();
        tch::no_grad(|| match &self.net {
            Net::Segmentation(net) => BTreeMap::from([("logits", upsample(&net.forward(&input, Mode::Eval), [h, w]))]),
            Net::Classifier(net) => {
                let seen = net.forward(&input, Mode::Eval);
                BTreeMap::from([("cam", seen.cam), ("logits", seen.logits)])
            }
        })
    }

    fn write_safetensors(&self, path: &Path) {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let bytes: Vec<_> = self.variables.iter().map(|(name, (shape, v))| (name, shape.clone(), bytes(v))).collect();
        let views =
            bytes.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        let metadata = HashMap::from([("graph".to_owned(), serde_json::to_string(&self.graph).unwrap())]);
        std::fs::write(path, serialize(views, Some(metadata)).unwrap()).unwrap();
    }
}

/// Pictures of every size.
fn pictures() -> Vec<Tensor> {
    let picture = |[b, h, w]: [i64; 3]| ((noise("picture", &[b, 3, h, w]) + 1.0) * 127.5).round();
    SIZES.into_iter().map(picture).collect()
}

fn read(path: &str, shape: &[i64]) -> Tensor {
    let bytes = std::fs::read(path).unwrap();
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Runs every network, both heads on all five backbones, in the program behind `python`, which reads files with
/// `ending`, and compares with our own forward. Returns what it says of each.
fn compare(ending: &str, python: impl Fn(&str) -> String, write: impl Fn(&Exported, &Path)) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: String| dir.path().join(name).to_str().unwrap().to_owned();
    let (mut tasks, mut expected) = (Vec::new(), Vec::new());
    for (index, (name, classifier)) in
        BackboneName::ALL.into_iter().flat_map(|name| [(name, false), (name, true)]).enumerate()
    {
        let exported = Exported::new(name, classifier);
        let model = file(format!("{index}.{ending}"));
        write(&exported, Path::new(&model));
        let mut of_model = Vec::new();
        for (size, images) in pictures().iter().enumerate() {
            let input = file(format!("picture{size}"));
            std::fs::write(&input, floats(images).iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()).unwrap();
            let outputs = exported.outputs(images);
            let files: BTreeMap<_, _> =
                outputs.keys().map(|output| (*output, file(format!("{index}.{size}.{output}")))).collect();
            of_model.push(json!({ "file": input, "shape": images.size(), "outputs": files }));
            for (output, ours) in outputs {
                expected.push((format!("{name:?} {output} {size}"), files[output].clone(), ours));
            }
        }
        tasks.push(json!({ "model": model, "pictures": of_model }));
    }
    let facts = python(&serde_json::to_string(&tasks).unwrap());
    for (what, file, ours) in expected {
        let theirs = read(&file, &ours.size());
        let (difference, spread) = ((&theirs - &ours).abs().max().double_value(&[]), ours.std(true).double_value(&[]));
        assert!(difference <= 1e-4, "{what}: differs by {difference:.2e}");
        assert!(spread > 1e-2, "{what}: is the same all over, which tests nothing");
        assert_close(&what, &theirs, &ours, 1e-4);
        let classes = ours.argmax(1, false).ne_tensor(&theirs.argmax(1, false)).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(classes, 0, "{what}: other classes");
    }
    serde_json::from_str(&facts).unwrap()
}

#[test]
fn onnxruntime_gives_our_logits() {
    let metadata = [("classes", json!(["background", "cat"]).to_string())];
    let python = |tasks: &str| peers::python("networks.py", &[], tasks);
    let facts = compare("onnx", python, |exported, path| {
        std::fs::write(path, onnx::encode(&exported.graph, &exported.variables, &metadata).unwrap()).unwrap();
    });
    for fact in &facts {
        assert_eq!(fact["metadata"]["classes"], "[\"background\",\"cat\"]");
        assert_eq!(fact["producer"], "camflow");
    }
    assert_eq!(facts[0]["outputs"], json!({ "logits": ["batch", CLASSES + 1, "height", "width"] }));
    let maps = json!({ "cam": ["batch", CLASSES, "cam_height", "cam_width"], "logits": ["batch", CLASSES] });
    assert_eq!(facts[1]["outputs"], maps);
    let normalizes = |fact: &Value| fact["operators"].as_array().unwrap().iter().any(|op| op == "BatchNormalization");
    // Only ResNet38 has normalisations that no convolution comes before.
    assert_eq!(facts.iter().map(normalizes).collect::<Vec<_>>(), (0..10).map(|i| i < 2).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs PyTorch: make peers-torch PYTHON=…"]
fn deeplab_py_gives_our_logits() {
    let python = |tasks: &str| peers::own_python("networks.py", &["src/wsss/src/export"], tasks);
    compare("safetensors", python, Exported::write_safetensors);
}

#[test]
fn a_graph_names_every_variable_once() {
    for name in BackboneName::ALL {
        let Exported { graph, variables, .. } = Exported::new(name, false);
        let mut named = Vec::new();
        for operation in graph.operations {
            match operation {
                Operation::Convolution { weight, bias, .. } => named.extend([weight].into_iter().chain(bias)),
                Operation::Normalization { weight, bias, mean, variance, .. } => {
                    named.extend([weight, bias, mean, variance]);
                }
                _ => {}
            }
        }
        named.sort();
        assert_eq!(named, variables.into_keys().collect::<Vec<_>>(), "{name:?}");
    }
}
