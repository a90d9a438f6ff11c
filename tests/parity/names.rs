//! `MXNet`'s names cover the whole of `ResNet38`.

use data::weights::Weights;
use tch::{Device, Tensor, nn};
use wsss::model::{Backbone, BackboneConfig, BackboneName, Norm};

use crate::mxnet::mxnet;

fn resnet38() -> nn::VarStore {
    let vs = nn::VarStore::new(Device::Cpu);
    let config = BackboneConfig { name: BackboneName::ResNet38, width: 4, norm: Norm::Frozen };
    let _net = Backbone::new(&(vs.root() / "backbone"), &config, [0.0; 2]);
    vs
}

/// What Wu et al. call a variable of the network, from the table of its blocks.
fn mxnet_name(variable: &str) -> String {
    let parts: Vec<&str> = variable.split('.').collect();
    let of_norm = |suffix: &str| match suffix {
        "weight" => "arg:{}_gamma",
        "bias" => "arg:{}_beta",
        "running_mean" => "aux:{}_moving_mean",
        "running_var" => "aux:{}_moving_var",
        other => panic!("{other}"),
    };
    match *parts.as_slice() {
        ["conv1a", "weight"] => "arg:conv1a_weight".to_owned(),
        ["bn7", suffix] => of_norm(suffix).replace("{}", "bn7"),
        [block, layer, suffix] => {
            let block = &block[1..];
            let block = block.split_once('_').map_or(format!("{block}a"), |(level, index)| format!("{level}b{index}"));
            match layer.split_once('_').unwrap() {
                ("conv", branch) => format!("arg:res{block}_{branch}_weight"),
                ("bn", branch) => of_norm(suffix).replace("{}", &format!("bn{block}_{branch}")),
                other => panic!("{other:?}"),
            }
        }
        _ => panic!("{variable}"),
    }
}

#[test]
fn every_variable_of_resnet38_has_its_mxnet_array() {
    let vs = resnet38();
    let variables: Vec<(String, Tensor)> = vs.variables().into_iter().collect();
    let value = |index: usize| index as f32 + 0.5;
    let array = |(index, (name, variable)): (usize, &(String, Tensor))| {
        let shape = variable.size().iter().map(|&n| n as u32).collect();
        (mxnet_name(name.strip_prefix("backbone.").unwrap()), shape, vec![value(index); variable.numel()])
    };
    let mut arrays: Vec<_> = variables.iter().enumerate().map(array).collect();
    for name in
        ["arg:res2a_branch1_weight", "arg:res4b5_branch2b1_weight", "arg:bn6a_branch2b2_gamma", "aux:bn7_moving_var"]
    {
        assert!(arrays.iter().any(|(there, ..)| there == name), "{name}");
    }
    arrays.push(("arg:linear1000_weight".to_owned(), vec![3, 2], vec![0.0; 6]));
    arrays.push(("arg:linear1000_bias".to_owned(), vec![3], vec![0.0; 3]));
    let weights = Weights::parse(mxnet(&arrays), "given").unwrap();
    assert_eq!(weights.skipped(), ["linear1000_weight", "linear1000_bias"]);

    let report = wsss::model::fill::fill(&weights, &vs, "backbone.", &[]).unwrap();
    assert!(report.fits() && report.filled == vs.len(), "{report}");
    for (index, (name, variable)) in variables.iter().enumerate() {
        let difference = (variable - f64::from(value(index))).abs().max().double_value(&[]);
        assert!(difference < f64::EPSILON, "{name}: {difference}");
    }
}
