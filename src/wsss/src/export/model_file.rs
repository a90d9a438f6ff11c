//! A trained network with all that its use takes, out of an artifact or out of one safetensors file.
//!
//! The file holds the network's tensors under the names of this crate, and as metadata under `camflow` one JSON object:
//! [`About`]. `camflow predict` needs nothing else, and neither does another program.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::{Artifact, Error, Key, Result};
use data::augment::{MEAN, STD};
use data::codec::voc_colour;
use data::dataset::{self, Dataset};
use data::weights::{Stored, Weights};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, nn};

use super::inference::{Inference, Names};
use crate::model::{BackboneConfig, CamNet, CamNetConfig, DeepLab, fill};
use crate::train::init::{CAM_NET, CAM_SUPPORT, DEEPLAB, TERMS};

/// The metadata's key.
pub const ABOUT: &str = "camflow";
/// Version of [`About`].
const VERSION: u32 = 1;
/// Pixels of the picture a side of a cell of every network's maps.
const STRIDE: u32 = 8;

/// What a network is, but for its weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Network {
    /// A segmentation network: [`DeepLab`].
    Deeplab {
        /// Its backbone.
        backbone: BackboneConfig,
        /// Channels between its two dilated convolutions.
        hidden: i64,
    },
    /// A classifier that gives class activation maps: [`CamNet`].
    Classifier {
        /// Its backbone.
        backbone: BackboneConfig,
        /// Channels of its feature.
        features: i64,
    },
}

impl Network {
    /// Its backbone, and the weights of the layer above that with their first side.
    fn parts(&self) -> (&BackboneConfig, &'static str, i64) {
        match self {
            Self::Deeplab { backbone, hidden } => (backbone, "hidden.weight", *hidden),
            Self::Classifier { backbone, features } => (backbone, "feature.weight", *features),
        }
    }
}

/// What there is to know of a trained network besides its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Version of this object.
    pub version: u32,
    /// The network.
    pub network: Network,
    /// Names of the classes by number, the background first. A classifier knows all but that one.
    pub classes: Vec<String>,
    /// The colour of each class in a mask: R, G and B.
    pub palette: Vec<[u8; 3]>,
    /// What is taken from a picture's R, G and B (0 to 1) …
    pub mean: [f32; 3],
    /// … and divides them then.
    pub std: [f32; 3],
    /// Pixels of the picture a side of a cell of the network's maps.
    pub stride: u32,
    /// How the network was used.
    pub inference: Inference,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// The artifact that a network comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The stage that trained it.
    pub stage: String,
    /// Its key.
    pub key: Key,
    /// The experiment for which it was first trained.
    pub experiment: String,
    /// Version of camflow that trained it.
    pub camflow: String,
    /// When it was trained, RFC 3339, UTC.
    pub finished: String,
}

/// A trained network with all that its use takes.
#[derive(Debug)]
pub struct Model {
    /// All but the weights.
    pub about: About,
    /// Has no stage of its store used it, so that [`Inference::plain`] stands for how it is used?
    pub is_unused: bool,
    weights: Weights,
}

impl Model {
    /// Reads an exported file.
    pub fn read(path: &Path) -> Result<Self> {
        let weights = Weights::read(path)?;
        let Some(text) = weights.metadata().get(ABOUT) else {
            return Err(Error::Data(format!(
                "{}: holds weights, but does not say of which network and classes; make the file with `camflow export \
                 model`",
                path.display()
            )));
        };
        let about: About = serde_json::from_str(text)
            .map_err(|why| Error::Data(format!("{}: its metadata '{ABOUT}': {why}", path.display())))?;
        if about.version != VERSION {
            let found = about.version;
            return Err(Error::Data(format!(
                "{}: is of version {found}, and this program reads version {VERSION}",
                path.display()
            )));
        }
        let model = Self { about, weights, is_unused: false };
        let checked = model.about.check().and_then(|()| model.check_sizes());
        checked.map_err(|error| error.within(&path.display().to_string()))?;
        Ok(model)
    }

    /// The network of an artifact of train-deeplab or train-cam, to be used as the stages of its store used it. Several
    /// experiments may share it: the one of the `latest` link (none: the main one) comes first.
    pub fn of(artifact: &Artifact, link: Option<&str>) -> Result<Self> {
        let record = artifact.record();
        let backbone = || artifact.param("backbone");
        let (network, file, inference) = if record.files.contains_key(DEEPLAB) {
            let names = Names { scales: "deeplab_scales", flip: "deeplab_flip", crf: Some("deeplab_crf") };
            let used = user(artifact, "evaluate", link)?.map(|user| Inference::of(&user, &names)).transpose()?;
            (Network::Deeplab { backbone: backbone()?, hidden: artifact.param("hidden")? }, DEEPLAB, used)
        } else if record.files.contains_key(CAM_NET) {
            let user = user(artifact, "extract-msinf-cam", link)?;
            let net = user.as_ref().map(|user| user.param::<String>("net")).transpose()?;
            let file = if net.as_deref() == Some("support") { CAM_SUPPORT } else { CAM_NET };
            let names = Names { scales: "scales", flip: "flip", crf: None };
            let used = user.map(|user| Inference::of(&user, &names)).transpose()?;
            (Network::Classifier { backbone: backbone()?, features: artifact.param("features")? }, file, used)
        } else {
            return Err(Error::Config(format!(
                "{}: holds neither a DeepLab nor a classifier; name an artifact of train-deeplab or train-cam",
                artifact.dir().display()
            )));
        };
        let trained_on = dataset::behind(artifact)?;
        let classes = dataset::classes(&trained_on)?;
        let classes: Vec<_> = std::iter::once("background".to_owned()).chain(classes).collect();
        let about = About {
            version: VERSION,
            network,
            palette: (0..classes.len()).map(|class| voc_colour(class as u8)).collect(),
            classes,
            mean: MEAN,
            std: STD,
            stride: STRIDE,
            inference: Inference {
                max_side: longest_side(artifact, &trained_on)?,
                ..inference.clone().unwrap_or_else(Inference::plain)
            },
            provenance: Provenance {
                stage: record.preimage.stage.clone(),
                key: record.key.clone(),
                experiment: record.provenance.experiment.clone(),
                camflow: record.provenance.camflow.clone(),
                finished: record.provenance.finished.clone(),
            },
        };
        let weights = Weights::read(&artifact.file(file))?;
        Ok(Self { about, weights, is_unused: inference.is_none() })
    }

    /// The file, with `more` metadata beside [`ABOUT`].
    pub fn encode(&self, more: &[(&str, String)]) -> Result<Vec<u8>> {
        let about = serde_json::to_string(&self.about).expect("this object is JSON");
        let metadata = more.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let metadata = metadata.chain([(ABOUT.to_owned(), about)]).collect();
        let named: Vec<_> = self.tensors().map(|(name, shape, values)| (name, shape, bytes(&values))).collect();
        let views = named.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor fills its shape");
            (*name, view)
        });
        let file = serialize(views, Some(metadata));
        let file = file.map_err(|why| Error::Failed(format!("cannot lay out a safetensors file: {why}")))?;
        Ok(with_sorted_header(&file))
    }

    /// The network's tensors by name, each with its shape and its elements, row-major. What only a training needs is
    /// not among them.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Vec<usize>, Vec<f32>)> {
        let own = self.weights.tensors().iter().filter(|(name, _)| !name.starts_with(&format!("{TERMS}.")));
        own.map(|(name, stored)| (name.as_str(), stored.shape().to_vec(), self.weights.values(stored)))
    }

    /// The segmentation network, on a device.
    pub fn deeplab(&self, device: Device) -> Result<DeepLab> {
        let Network::Deeplab { backbone, hidden } = &self.about.network else {
            return Err(self.is_other("a classifier, which gives no masks; add --cam for its activation maps"));
        };
        let mut vs = nn::VarStore::new(device);
        let net = DeepLab::new(&vs.root(), backbone, self.about.classes.len() as i64, *hidden);
        fill::fill(&self.weights, &vs, "", &[])?;
        vs.freeze();
        Ok(net)
    }

    /// The classifier, on a device.
    pub fn classifier(&self, device: Device) -> Result<CamNet> {
        let Network::Classifier { backbone, features } = &self.about.network else {
            return Err(self.is_other("a segmentation network, which gives no activation maps; leave --cam out"));
        };
        let classes = self.about.classes.len() as i64 - 1;
        let mut vs = nn::VarStore::new(device);
        let net = CamNet::new(&vs.root(), &CamNetConfig { backbone: backbone.clone(), features: *features, classes });
        fill::fill(&self.weights, &vs, "", &[&format!("{TERMS}.")])?;
        vs.freeze();
        Ok(net)
    }

    /// A network takes memory for as many channels as it is said to have: the file has to have them.
    fn check_sizes(&self) -> Result<()> {
        let (backbone, head, channels) = self.about.network.parts();
        let tensors = self.weights.tensors();
        let first = tensors.get(head).and_then(|tensor| tensor.shape().first()).map(|&side| side as i64);
        let stem = |tensor: &Stored| matches!(tensor.shape(), [width, 3, _, _] if *width as i64 == backbone.width);
        if first == Some(channels) && tensors.values().any(stem) {
            return Ok(());
        }
        Err(Error::Data("its tensors are not those of the network that it names".to_owned()))
    }

    fn is_other(&self, what: &str) -> Error {
        Error::Config(format!("{}: holds {what}", self.weights.source()))
    }
}

impl About {
    /// Checks what a file from elsewhere may have wrong.
    fn check(&self) -> Result<()> {
        let classes = self.classes.len();
        if !(2..=255).contains(&classes) || self.palette.len() != classes {
            let colours = self.palette.len();
            return Err(Error::Data(format!(
                "names {classes} classes and {colours} colours; 2 to 255 of each, as many"
            )));
        }
        if (self.mean, self.std, self.stride) != (MEAN, STD, STRIDE) {
            return Err(Error::Data("its pictures are normalised otherwise than this program does it".to_owned()));
        }
        self.inference.check().map_err(|error| Error::Data(error.to_string()))
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A safetensors file, the entries of whose header are sorted: the library writes the metadata in an order that changes
/// from one process to the next.
fn with_sorted_header(file: &[u8]) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().expect("a safetensors file has a length");
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let entries: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(header).expect("its header is an object of objects");
    let mut header = serde_json::to_vec(&entries).expect("its header is JSON");
    // Tensors begin at a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), tensors].concat()
}

/// What a stage last computed from this artifact for the experiment of this `latest` link; else the newest that it
/// computed from it.
fn user(artifact: &Artifact, stage: &str, link: Option<&str>) -> Result<Option<Artifact>> {
    let Some(store) = artifact.store()? else { return Ok(None) };
    let record = artifact.record();
    let uses = |user: &Artifact| user.record().provenance.inputs.get(&record.preimage.stage) == Some(&record.key);
    if let Some(latest) = store.latest(stage, link)?.filter(uses) {
        return Ok(Some(latest));
    }
    Ok(store.artifacts(stage)?.into_iter().find(uses))
}

/// The longest side of any picture of the split of a data set that a network learnt from.
fn longest_side(trained: &Artifact, dataset: &Artifact) -> Result<u32> {
    let split: String = trained.param("split")?;
    let images = Dataset::load(dataset)?;
    Ok(images.split(&split)?.iter().map(|image| image.width.max(image.height)).max().unwrap_or(0))
}
