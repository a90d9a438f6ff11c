//! The trained variables of a network one after another in a single tensor, so that a step of an optimiser or of a
//! moving average is a few operations on the whole and not a few on each variable. Names, shapes and values stay.

use artifact::Numerics;
use tch::{Kind, Tensor, nn::VarStore, no_grad};

/// Variables begin at multiples of this many numbers: 64 bytes, as libtorch's own tensors do.
const ALIGNMENT: i64 = 16;
/// Above the names of the variables that terms of the objective learn themselves: in `MainNet`'s file, not in
/// `SupportNet`'s.
pub const TERMS: &str = "terms";
/// Above the names of what has the learning rate of the backbone.
const BACKBONE: &str = "backbone.";
/// The last words of the names of running statistics.
const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

/// How the weights of a convolution lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLayout {
    /// `[to, from, kernel, kernel]`.
    Plain,
    /// `[to, kernel, kernel, from]`, which maps with their channels innermost want.
    ChannelsInnermost,
}

impl WeightLayout {
    /// That of the maps of a network that computes in these numbers.
    pub fn of(numerics: Numerics) -> Self {
        if numerics == Numerics::F32 { Self::Plain } else { Self::ChannelsInnermost }
    }
}

/// Where a variable lies.
#[derive(Debug)]
pub struct Place {
    /// Its name in the state dict.
    pub name: String,
    /// Itself.
    pub variable: Tensor,
    /// The number before its first.
    pub from: i64,
    /// How many numbers it has.
    pub length: i64,
    layout: WeightLayout,
}

impl Place {
    /// Is it of a head, which has a learning rate of its own?
    pub fn is_head(&self) -> bool {
        !self.name.starts_with(BACKBONE)
    }

    /// Is it the weight of a convolution, which decays?
    pub fn decays(&self) -> bool {
        self.variable.dim() == 4
    }

    /// Its part of a tensor that is laid out like [`Flat::trained`], in its shape.
    pub fn of(&self, whole: &Tensor) -> Tensor {
        let part = whole.narrow(0, self.from, self.length);
        match (self.layout, self.variable.size().as_slice()) {
            (WeightLayout::ChannelsInnermost, &[to, from, rows, columns]) => {
                part.view([to, rows, columns, from]).permute([0, 3, 1, 2])
            }
            (_, shape) => part.view(shape),
        }
    }
}

/// The variables of a network that change in training.
#[derive(Debug)]
pub struct Flat {
    /// Those with gradient, and zeros between them.
    pub trained: Tensor,
    /// The running statistics of its norms.
    pub statistics: Tensor,
    /// Where each of `trained` lies: those of one learning rate and one decay side by side, what terms learn last.
    pub places: Vec<Place>,
}

impl Flat {
    /// Moves the variables of `vs` to where they lie side by side. Whoever holds one holds it as before.
    pub fn of(vs: &VarStore, layout: WeightLayout) -> Self {
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (trained, others): (Vec<_>, Vec<_>) = variables.into_iter().partition(|(_, tensor)| tensor.requires_grad());
        let statistics = others.into_iter().filter(|(name, _)| STATISTICS.iter().any(|word| name.ends_with(word)));
        let (statistics, _) = gather(statistics.collect(), WeightLayout::Plain, vs);
        let (trained, places) = gather(in_groups(trained), layout, vs);
        Self { trained, statistics, places }
    }

    /// A tensor laid out like [`Flat::trained`], of zeros.
    pub fn zeros(&self) -> Tensor {
        no_grad(|| self.trained.zeros_like())
    }
}

/// Variables of one learning rate and one decay side by side, what terms learn last.
fn in_groups(mut variables: Vec<(String, Tensor)>) -> Vec<(String, Tensor)> {
    variables.sort_by_key(|(name, tensor)| {
        (name.split('.').next() == Some(TERMS), !name.starts_with(BACKBONE), tensor.dim() != 4)
    });
    variables
}

/// Moves variables into one tensor.
fn gather(variables: Vec<(String, Tensor)>, layout: WeightLayout, vs: &VarStore) -> (Tensor, Vec<Place>) {
    let mut length = 0;
    let place = |(name, variable): (String, Tensor)| {
        let place = Place { name, from: length, length: variable.numel() as i64, variable, layout };
        length += (place.length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        place
    };
    let mut places: Vec<Place> = variables.into_iter().map(place).collect();
    no_grad(|| {
        let whole = Tensor::zeros([length], (Kind::Float, vs.device()));
        for place in &mut places {
            let mut part = place.of(&whole);
            part.copy_(&place.variable);
            place.variable.set_data(&part);
        }
        (whole, places)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn variables_keep_name_shape_and_value_wherever_they_lie() {
        for layout in [WeightLayout::Plain, WeightLayout::ChannelsInnermost] {
            let vs = VarStore::new(Device::Cpu);
            let root = vs.root();
            let numbers =
                |shape: &[i64]| Tensor::arange(shape.iter().product::<i64>(), tch::kind::FLOAT_CPU).view(shape);
            let weight = (&root / "backbone" / "conv").add("weight", numbers(&[4, 3, 2, 2]), true);
            let bias = (&root / "backbone").add("bias", numbers(&[5]), true);
            let head = (&root / "classifier").add("weight", numbers(&[2, 4, 1, 1]), true);
            let mean = (&root / "backbone").add("running_mean", numbers(&[3]), false);
            let flat = Flat::of(&vs, layout);
            let names: Vec<_> = flat.places.iter().map(|place| (place.name.as_str(), place.from)).collect();
            assert_eq!(names, [("backbone.conv.weight", 0), ("backbone.bias", 48), ("classifier.weight", 64)]);
            for (variable, shape) in [(&weight, &[4, 3, 2, 2][..]), (&bias, &[5]), (&head, &[2, 4, 1, 1])] {
                assert_eq!(*variable, numbers(shape), "{layout:?}");
                assert!(variable.requires_grad());
            }
            // What changes the whole changes the variables, and the other way round.
            no_grad(|| drop(flat.trained.shallow_clone().g_add_scalar_(1.0)));
            assert_eq!(weight, numbers(&[4, 3, 2, 2]) + 1.0);
            no_grad(|| drop(mean.shallow_clone().fill_(7.0)));
            assert_eq!(flat.statistics.narrow(0, 0, 3), Tensor::full([3], 7.0, tch::kind::FLOAT_CPU));
        }
    }
}
