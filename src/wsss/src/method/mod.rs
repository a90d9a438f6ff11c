//! The paper. One file a module of it, one public function an equation.
//!
//! Pure: no files, no configuration, no randomness that is not passed in. Tensors stay on the device they came on.
//! Letters: B images, K foreground classes, D features, H x W the crop, h x w the grid at stride 8. Class 0 is the
//! background, foreground class c of a `[.., K, ..]` tensor is class c + 1.
//!
//! ```text
//! cam            scales, upsampling, normalisation, msinf-CAM
//! views          what both networks see in a batch, each view once
//! term           what a term of the objective is
//! terms          the terms, a file each                              Eqs. 1-8
//! interpolation  features at pixels, exactly, without upsampling them
//! objective      the weighted sum of the terms                       Eq. 9
//! ema            SupportNet follows MainNet                          section 3.1
//! flip           mirror images at inference
//! extraction     the msinf-CAM of a trained network                  section 3.3
//! scores         the background beside an image's classes, and the class that wins a pixel
//! affinity       pairs of positions, their affinities and labels       Ahn and Kwak 2018
//! random_walk    scores spread along affinities
//! crf            scores made to follow the picture                    Kraehenbuehl and Koltun 2011
//! pseudo_label   CAM scores, affinities, walk and CRF to a label
//! segmentation   DeepLab's loss and multi-scale inference
//! ```

pub mod cam;
pub mod views;

pub mod interpolation;
pub mod term;
pub mod terms;

pub mod ema;
pub mod objective;

pub mod extraction;
pub mod flip;
pub mod scores;

pub mod affinity;
pub mod crf;
pub mod pseudo_label;
pub mod random_walk;

pub mod segmentation;
