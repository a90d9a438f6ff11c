//! The terms of the objective, a file each. A new one is its file and its line below.
//!
//! ```text
//! cls      image-level classification
//! rcm      the Regional Contrastive Module                   Eqs. 1-5
//!   direct the ablation of Table 2 in which masks supervise CAMs
//! mam      the Multi-scale Attentive Module                  Eqs. 6-8
//! seam     equivariant attention: Wang et al., CVPR 2020
//! ```

pub mod direct;

use super::term::Kind;

macro_rules! terms {
    ($($file:ident: $term:ident,)*) => {
        $(pub mod $file;)*

        /// Every kind of term that a manifest may list.
        pub const KINDS: [Kind; [$(stringify!($file)),*].len()] = [$(Kind::of::<$file::$term>()),*];
    };
}

terms! {
    cls: Cls,
    rcm: Rcm,
    mam: Mam,
    seam: Seam,
}
