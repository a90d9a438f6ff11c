//! The paper. One file a module of it, one public function an equation.
//!
//! Pure: no files, no configuration, no randomness that is not passed in. Tensors stay on the device they came on.
//! Letters: B images, K foreground classes, D features, H x W the crop, h x w the grid at stride 8. Class 0 is the
//! background, foreground class c of a `[.., K, ..]` tensor is class c + 1.
//!
//! ```text
//! cam            scales, upsampling, normalisation, msinf-CAM
//! rcm            region masks, prototypes, the contrastive loss        Eqs. 1-5
//! interpolation  the same at stride 8, exactly: what training uses
//! mam            attention over scales                                 Eqs. 6-8
//! direct         the ablation that supervises CAMs by masks directly
//! ema            SupportNet follows MainNet
//! objective      one whole training step
//! affinity       pairs of positions, their affinities and labels       Ahn and Kwak 2018
//! random_walk    scores spread along affinities
//! crf            scores made to follow the picture                    Kraehenbuehl and Koltun 2011
//! segmentation   DeepLab's loss and multi-scale inference
//! ```

pub mod cam;
pub mod rcm;

pub mod interpolation;

pub mod direct;
pub mod ema;
pub mod mam;
pub mod objective;

pub mod affinity;
pub mod crf;
pub mod random_walk;

pub mod segmentation;
