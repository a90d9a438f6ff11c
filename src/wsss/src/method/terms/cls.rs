//! Image-level classification: the loss that a plain CAM network is trained with (section 3.4).

use artifact::ParamError;
use serde::Deserialize;
use tch::{Kind, Reduction, Tensor};

use crate::method::term::{Site, Term};
use crate::method::views::Views;

/// The term `cls`.
#[derive(Debug)]
pub struct Cls;

/// No parameters of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClsParams {}

impl Term for Cls {
    const NAME: &'static str = "cls";
    const SUPPORT: bool = false;
    type Params = ClsParams;

    fn check(_params: &ClsParams) -> Result<(), ParamError> {
        Ok(())
    }

    fn new(_params: ClsParams, _site: &Site<'_>) -> Self {
        Self
    }

    fn loss(&mut self, views: &Views<'_>) -> Tensor {
        classification_loss(&views.main(1.0).logits, views.labels())
    }
}

/// Multi-label classification: the mean binary cross-entropy over images and classes.
///
/// # Shapes
/// `logits, labels [B, K]`; to a scalar.
pub fn classification_loss(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.binary_cross_entropy_with_logits::<Tensor>(&labels.to_kind(Kind::Float), None, None, Reduction::Mean)
}
