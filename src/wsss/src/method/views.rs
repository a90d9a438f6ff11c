//! What both networks see in a batch: each view is computed when a term first asks for it, and once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tch::Tensor;

use super::cam::{image_scales, upsample};
use crate::model::{CamNet, CamOutput, Mode};

/// One batch.
#[derive(Debug)]
pub struct Batch {
    /// Augmented, normalised images `[B, 3, H, W]`.
    pub images: Tensor,
    /// 1 for every class an image shows, else 0, f32 `[B, K]`.
    pub labels: Tensor,
    /// Where a crop is image and not padding, bool `[B, H, W]`.
    pub valid: Tensor,
}

/// The two networks of section 3.1. With shared weights both are `MainNet`.
#[derive(Clone, Copy, Debug)]
pub struct Networks<'a> {
    /// F, which is trained.
    pub main: &'a CamNet,
    /// G, which is looked at.
    pub support: &'a CamNet,
    /// s, m, l: the scales at which G sees the images, and F for MAM. 1 is among them, once.
    pub scales: &'a [f64],
}

/// Views of one kind by the bits of their scale.
type Memory<T> = RefCell<BTreeMap<u64, Rc<T>>>;

/// The view at a scale, made the first time.
fn once<T>(memory: &Memory<T>, scale: f64, make: impl FnOnce() -> T) -> Rc<T> {
    if let Some(known) = memory.borrow().get(&scale.to_bits()) {
        return Rc::clone(known);
    }
    let made = Rc::new(make());
    memory.borrow_mut().insert(scale.to_bits(), Rc::clone(&made));
    made
}

/// A batch as the networks see it. What no term asks for is not computed.
#[derive(Debug)]
pub struct Views<'a> {
    batch: &'a Batch,
    networks: Networks<'a>,
    images: Memory<Tensor>,
    main: Memory<CamOutput>,
    support: Memory<CamOutput>,
    main_cams: Memory<Tensor>,
    support_cams: Memory<Tensor>,
}

impl<'a> Views<'a> {
    /// Nothing seen yet.
    pub fn new(batch: &'a Batch, networks: Networks<'a>) -> Self {
        let (images, main, support) = (Memory::default(), Memory::default(), Memory::default());
        let (main_cams, support_cams) = (Memory::default(), Memory::default());
        Self { batch, networks, images, main, support, main_cams, support_cams }
    }

    /// The image-level labels `[B, K]`.
    pub fn labels(&self) -> &Tensor {
        &self.batch.labels
    }

    /// Where a crop is image and not padding, bool `[B, H, W]`.
    pub fn valid(&self) -> &Tensor {
        &self.batch.valid
    }

    /// `[H, W]` of the crops.
    pub fn size(&self) -> [i64; 2] {
        let (_, _, h, w) = self.batch.images.size4().expect("images are [B, 3, H, W]");
        [h, w]
    }

    /// The scales s, m, l of section 3.1.
    pub fn scales(&self) -> &[f64] {
        self.networks.scales
    }

    /// The images at a scale, `[B, 3, scale H, scale W]`.
    pub fn image(&self, scale: f64) -> Tensor {
        once(&self.images, scale, || image_scales(&self.batch.images, scale)).shallow_clone()
    }

    /// What `MainNet` makes of the images at a scale, with gradient.
    ///
    /// # Deviations
    /// Where norms learn, it sees other scales than 1 by the running statistics of scale 1 ([`Mode::Rescaled`]).
    pub fn main(&self, scale: f64) -> Rc<CamOutput> {
        let mode = if is_one(scale) { Mode::Train } else { Mode::Rescaled };
        once(&self.main, scale, || self.networks.main.forward(&self.image(scale), mode))
    }

    /// What `SupportNet` makes of the images at a scale, without gradient.
    pub fn support(&self, scale: f64) -> Rc<CamOutput> {
        let look = || self.networks.support.forward(&self.image(scale), Mode::Eval);
        once(&self.support, scale, || tch::no_grad(look))
    }

    /// `MainNet`'s raw CAMs of a scale, upsampled, `[B, K, H, W]`.
    pub fn main_cam(&self, scale: f64) -> Tensor {
        once(&self.main_cams, scale, || upsample(&self.main(scale).cam, self.size())).shallow_clone()
    }

    /// `SupportNet`'s raw CAMs of a scale, upsampled, `[B, K, H, W]`, without gradient.
    pub fn support_cam(&self, scale: f64) -> Tensor {
        let cam = || upsample(&self.support(scale).cam, self.size());
        once(&self.support_cams, scale, || tch::no_grad(cam)).shallow_clone()
    }

    /// Forgets what `MainNet` made of the images: with the last tensor of a graph goes the memory that it holds.
    pub fn forget_main(&self) {
        self.main_cams.borrow_mut().clear();
        self.main.borrow_mut().clear();
    }

    /// [`Views::support_cam`] at every scale.
    pub fn support_cams(&self) -> Vec<Tensor> {
        self.scales().iter().map(|scale| self.support_cam(*scale)).collect()
    }
}

/// Is it the images' own scale?
pub(super) fn is_one(scale: f64) -> bool {
    (scale - 1.0).abs() < 1e-9
}
