//! Mirror images at inference: a network looks at a photograph and at its mirror image, and what it says of the latter
//! is mirrored back.

use tch::Tensor;

/// Is the mirror image looked at too?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// Only the image as it is.
    None,
    /// Both.
    Both,
}

impl From<bool> for Flip {
    fn from(flip: bool) -> Self {
        if flip { Self::Both } else { Self::None }
    }
}

impl Flip {
    /// The views of an image that the network looks at.
    ///
    /// # Shapes
    /// `image [1, 3, H, W]` to `[1 or 2, 3, H, W]`.
    pub fn views(self, image: &Tensor) -> Tensor {
        match self {
            Self::None => image.shallow_clone(),
            Self::Both => Tensor::cat(&[image, &image.flip([3])], 0),
        }
    }

    /// The maps of [`Flip::views`], each as one of the image itself.
    ///
    /// # Shapes
    /// `maps [1 or 2, C, H, W]` to 1 or 2 of `[C, H, W]`.
    pub fn mirrored_back(self, maps: &Tensor) -> Vec<Tensor> {
        match self {
            Self::None => vec![maps.get(0)],
            Self::Both => vec![maps.get(0), maps.get(1).flip([2])],
        }
    }
}
