//! How a network looks at a picture, and DeepLab and CAM nets that look so.

use std::cell::Cell;

use artifact::{ClassId, Result};
use data::codec::Rgb;
use data::resize::resize_bicubic;
use tch::{Device, Tensor};

use super::{MaxPixels, Networks};
use crate::memory;
use crate::method::cam::upsample;
use crate::method::extraction::{ClassCam, ExtractionOptions, extract_msinf};
use crate::method::flip::Flip;
use crate::method::segmentation::probabilities;
use crate::model::DeepLab;
use crate::tensor::{floats, of_photo};

/// The scales, flip and limit at which a network sees a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Factors by which the picture is resized.
    pub scales: Vec<f64>,
    /// Is the mirror image looked at too?
    pub flip: Flip,
    /// A picture that has more pixels at the largest scale is looked at smaller.
    pub max_pixels: MaxPixels,
}

type Segment = Box<dyn Fn(&DeepLab, &Tensor) -> Tensor + Send + Sync>;

/// A DeepLab that looks so, for any number of workers.
pub struct Segmenter {
    look: Look,
    networks: Networks<DeepLab, Segment>,
}

impl Segmenter {
    /// Makes its networks.
    pub fn new(device: Device, network: impl Fn() -> Result<DeepLab>, look: Look) -> Result<Self> {
        let (scales, flip) = (look.scales.clone(), look.flip);
        let forward: Segment = Box::new(move |net, photo| probabilities(net, photo, &scales, flip));
        Ok(Self { look, networks: Networks::new(device, network, forward)? })
    }

    /// The probabilities of the classes, `[K + 1, H, W]`, row-major, for one of the workers; of a picture that is too
    /// large they are those of a smaller one, interpolated. Errors call the picture `name`.
    pub fn scores(&self, worker: usize, photo: &Rgb, name: &str) -> Result<Vec<f32>> {
        let size = [photo.height, photo.width];
        let factor = self.look.max_pixels.factor(size, &self.look.scales);
        let [height, width] = size.map(|side| ((side as f64 * factor).round() as usize).max(1));
        let seen = memory::within(|| {
            if [height, width] == size {
                return floats(&self.networks.forward(worker, &of_photo(photo)));
            }
            let small = of_photo(&resize_bicubic(photo, height, width));
            let scores = self.networks.forward(worker, &small).unsqueeze(0); // [1, K + 1, height, width]
            floats(&upsample(&scores, size.map(|side| side as i64)))
        });
        seen.map_err(|exhausted| {
            let largest = self.look.scales.iter().copied().fold(0.0, f64::max);
            let at = [height, width].map(|side| (side as f64 * largest).round() as i64);
            exhausted.at_picture(name, size, largest, at)
        })
    }
}

/// A network that gives CAMs, `[B, K, h / 8, w / 8]` of `[B, 3, h, w]`, and looks so, for any number of workers.
pub struct Extractor<N, F> {
    look: Look,
    networks: Networks<N, F>,
}

impl<N, F> Extractor<N, F>
where
    N: Send + 'static,
    F: Fn(&N, &Tensor) -> Tensor + Send + 'static,
{
    /// Makes its networks; `maps` gives a network's CAMs.
    pub fn new(device: Device, network: impl Fn() -> Result<N>, maps: F, look: Look) -> Result<Self> {
        Ok(Self { look, networks: Networks::new(device, network, maps)? })
    }

    /// The msinf-CAMs of the classes of a picture, for one of the workers. Errors call the picture `name`.
    pub fn cams(&self, worker: usize, photo: &Rgb, classes: &[ClassId], name: &str) -> Result<Vec<ClassCam>> {
        let size = [photo.height, photo.width];
        let factor = self.look.max_pixels.factor(size, &self.look.scales);
        let scales = self.look.scales.iter().map(|scale| scale * factor).collect();
        let options = ExtractionOptions { scales, flip: self.look.flip };
        self.watched(photo, name, |maps| extract_msinf(maps, photo, classes, &options), worker)
    }

    /// What the network says of each foreground class, `[K]`: the mean of its map, before the sigmoid. It looks at the
    /// picture as it is, or smaller if that is too large.
    pub fn logits(&self, worker: usize, photo: &Rgb, name: &str) -> Result<Vec<f32>> {
        let factor = self.look.max_pixels.factor([photo.height, photo.width], &[1.0]);
        let [height, width] = [photo.height, photo.width].map(|side| ((side as f64 * factor).round() as usize).max(1));
        let small = (factor < 1.0).then(|| resize_bicubic(photo, height, width));
        let look = |maps: &dyn Fn(&Tensor) -> Tensor| {
            let maps = maps(&of_photo(small.as_ref().unwrap_or(photo))); // [1, K, h / 8, w / 8]
            floats(&maps.mean_dim([2, 3].as_slice(), false, tch::Kind::Float)) // [K]
        };
        self.watched(photo, name, look, worker)
    }

    /// Does something with the network's maps. Where memory ends, the error knows at which size.
    fn watched<T>(
        &self,
        photo: &Rgb,
        name: &str,
        work: impl FnOnce(&dyn Fn(&Tensor) -> Tensor) -> T,
        worker: usize,
    ) -> Result<T> {
        let size = [photo.height, photo.width];
        let seen = Cell::new(size.map(|side| side as i64));
        let maps = |images: &Tensor| {
            let (_, _, h, w) = images.size4().expect("images are [B, 3, h, w]");
            seen.set([h, w]);
            self.networks.forward(worker, images)
        };
        memory::within(|| work(&maps)).map_err(|exhausted| {
            let scale = seen.get()[0] as f64 / photo.height as f64;
            exhausted.at_picture(name, size, (scale * 100.0).round() / 100.0, seen.get())
        })
    }
}
