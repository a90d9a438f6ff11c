//! A network's graph as an ONNX model, which `onnxruntime` and many other programs run.
//!
//! Batch, height and width are open. A normalisation after a convolution is put into its weights. The paddings of
//! convolutions depend on the parity of a side where they are TensorFlow's, so those are left to the runtime
//! (`auto_pad`).
//!
//! ```text
//! messages   the messages of the file format
//! ```

mod messages;

use std::collections::BTreeMap;

use artifact::{Error, Result};
use prost::Message as _;

use super::graph::{CAM, IMAGE};
use crate::model::Padding;
use crate::model::graph::{Graph, Operation};
use messages::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, ValueInfoProto,
};

/// Version of ONNX's operators: that of ONNX 1.12, of 2022, which every runtime knows.
const OPSET: i64 = 17;
/// Version of the file format that came with it.
const IR_VERSION: i64 = 8;

/// Variables by name: shape, and elements row-major.
pub type Variables = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The bytes of the model; `metadata` becomes its `metadata_props`.
pub fn encode(graph: &Graph, variables: &Variables, metadata: &[(&str, String)]) -> Result<Vec<u8>> {
    let mut writer = Writer { graph, variables, nodes: Vec::new(), initializers: Vec::new() };
    for (index, operation) in graph.operations.iter().enumerate() {
        writer.add(index + 1, operation)?;
    }
    let output = graph.outputs.iter().map(|(name, number)| writer.output(name, *number)).collect::<Result<_>>()?;
    let entry = |(key, value): &(&str, String)| StringStringEntryProto { key: (*key).to_owned(), value: value.clone() };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "camflow".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata.iter().map(entry).collect(),
        graph: Some(GraphProto {
            name: "camflow".to_owned(),
            input: vec![ValueInfoProto::floats(
                IMAGE,
                [open("batch"), Dimension::Value(3), open("height"), open("width")],
            )],
            output,
            node: writer.nodes,
            initializer: writer.initializers,
        }),
    };
    Ok(model.encode_to_vec())
}

fn open(name: &str) -> Dimension {
    Dimension::Name(name.to_owned())
}

/// The nodes and constants of a model as they grow.
struct Writer<'a> {
    graph: &'a Graph,
    variables: &'a Variables,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

/// What batch normalisation makes of a channel: times `scale`, plus `shift`.
struct Normalization {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Writer<'_> {
    /// Adds the nodes of the operation whose result is the value `number`.
    fn add(&mut self, number: usize, operation: &Operation) -> Result<()> {
        let result = self.name(number);
        match operation {
            Operation::Affine { x, factor, offset } => {
                let x = self.name(*x);
                let factor = self.constant(&format!("{result}.factor"), &[1, 3, 1, 1], factor);
                let offset = self.constant(&format!("{result}.offset"), &[1, 3, 1, 1], offset);
                let product = format!("{result}.product");
                self.node("Mul", [x, factor], &product, vec![]);
                self.node("Add", [product, offset], &result, vec![]);
            }
            // Whatever normalises its result alone becomes a part of it.
            Operation::Convolution { .. } => {
                if self.folded(number).is_none() {
                    self.convolution(&result, operation, None)?;
                }
            }
            Operation::Normalization { x, .. } => {
                let normalization = self.normalization(operation)?;
                if self.folded(*x) == Some(number) {
                    let convolution = &self.graph.operations[*x - 1];
                    return self.convolution(&result, convolution, Some(&normalization));
                }
                self.batch_normalization(&result, self.name(*x), &normalization);
            }
            Operation::Relu { x } => self.node("Relu", [self.name(*x)], &result, vec![]),
            Operation::Relu6 { x } => {
                let [least, most] = [("zero", 0.0), ("six", 6.0)].map(|(name, value)| self.scalar(name, value));
                self.node("Clip", [self.name(*x), least, most], &result, vec![]);
            }
            Operation::Add { x, y } => self.node("Add", [self.name(*x), self.name(*y)], &result, vec![]),
            Operation::MaxPool { x, kernel, stride, padding } => {
                let attributes = vec![
                    AttributeProto::ints("kernel_shape", &[*kernel; 2]),
                    AttributeProto::ints("strides", &[*stride; 2]),
                    AttributeProto::ints("pads", &[*padding; 4]),
                ];
                self.node("MaxPool", [self.name(*x)], &result, attributes);
            }
            Operation::Mean { x } => {
                let mean = format!("{result}.map");
                self.node("GlobalAveragePool", [self.name(*x)], &mean, vec![]); // [B, C, 1, 1]
                self.node("Flatten", [mean], &result, vec![AttributeProto::int("axis", 1)]);
            }
            Operation::Upsample { x } => self.upsample(&result, self.name(*x)),
        }
        Ok(())
    }

    /// The normalisation that is all that looks at the value `number`, if a convolution gives that.
    fn folded(&self, number: usize) -> Option<usize> {
        let of_convolution = matches!(self.graph.operations.get(number - 1), Some(Operation::Convolution { .. }));
        let uses = self.graph.operations.iter().enumerate().filter(|(_, operation)| operation.uses(number));
        let mut uses = uses.map(|(index, operation)| (index + 1, operation)).take(2);
        let (first, operation) = uses.next()?;
        let alone = uses.next().is_none() && !self.graph.outputs.values().any(|output| *output == number);
        (of_convolution && alone && matches!(operation, Operation::Normalization { .. })).then_some(first)
    }

    fn normalization(&self, operation: &Operation) -> Result<Normalization> {
        let Operation::Normalization { weight, bias, mean, variance, eps, .. } = operation else {
            unreachable!("asked of normalisations alone")
        };
        let values = |name: &str| self.variable(name).map(|(_, values)| values);
        let (weight, bias, mean, variance) = (values(weight)?, values(bias)?, values(mean)?, values(variance)?);
        let scale: Vec<f32> = weight.iter().zip(variance).map(|(w, var)| w / (var + *eps as f32).sqrt()).collect();
        let shift = bias.iter().zip(mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale).collect();
        Ok(Normalization { scale, shift })
    }

    fn convolution(&mut self, result: &str, operation: &Operation, norm: Option<&Normalization>) -> Result<()> {
        let Operation::Convolution { x, weight: name, bias, stride, dilation, groups, padding } = operation else {
            unreachable!("asked of convolutions alone")
        };
        let (shape, values) = self.variable(name)?;
        let (shape, mut values) = (shape.iter().map(|side| *side as i64).collect::<Vec<_>>(), values.clone());
        let mut shift = bias.as_ref().map(|bias| self.variable(bias).map(|(_, bias)| bias.clone())).transpose()?;
        if let Some(Normalization { scale, shift: added }) = norm {
            let filter = values.len() / scale.len();
            for (filter, scale) in values.chunks_exact_mut(filter).zip(scale) {
                for weight in filter {
                    *weight *= scale;
                }
            }
            let own = shift.unwrap_or_else(|| vec![0.0; scale.len()]);
            shift = Some(own.iter().zip(scale).zip(added).map(|((own, scale), added)| own * scale + added).collect());
        }
        let kernel = shape[2];
        let mut inputs = vec![self.name(*x), self.constant(name, &shape, &values)];
        if let Some(shift) = shift {
            let name = name.replace(".weight", ".bias");
            inputs.push(self.constant(&name, &[shape[0]], &shift));
        }
        let pads = match padding {
            Padding::Centred => AttributeProto::ints("pads", &[dilation * (kernel / 2); 4]),
            Padding::Same => AttributeProto::text("auto_pad", "SAME_UPPER"),
        };
        let attributes = vec![
            AttributeProto::ints("kernel_shape", &[kernel; 2]),
            AttributeProto::ints("strides", &[*stride; 2]),
            AttributeProto::ints("dilations", &[*dilation; 2]),
            AttributeProto::int("group", *groups),
            pads,
        ];
        self.node("Conv", inputs, result, attributes);
        Ok(())
    }

    /// A normalisation that no convolution takes in.
    fn batch_normalization(&mut self, result: &str, x: String, Normalization { scale, shift }: &Normalization) {
        let channels = scale.len();
        let one = vec![1.0; channels];
        let parts = [("scale", scale), ("shift", shift), ("mean", &vec![0.0; channels]), ("variance", &one)];
        let parts = parts.map(|(part, values)| self.constant(&format!("{result}.{part}"), &[channels as i64], values));
        let inputs = std::iter::once(x).chain(parts);
        self.node("BatchNormalization", inputs, result, vec![AttributeProto::float("epsilon", 0.0)]);
    }

    /// `x` in the size of the input.
    fn upsample(&mut self, result: &str, x: String) {
        let [channels, pixels, size] = ["channels", "pixels", "size"].map(|part| format!("{result}.{part}"));
        let part = |start, end| vec![AttributeProto::int("start", start), AttributeProto::int("end", end)];
        self.node("Shape", [x.clone()], &channels, part(0, 2)); // B, C
        self.node("Shape", [IMAGE.to_owned()], &pixels, part(2, 4)); // H, W
        self.node("Concat", [channels, pixels], &size, vec![AttributeProto::int("axis", 0)]);
        let attributes = vec![
            AttributeProto::text("mode", "linear"),
            AttributeProto::text("coordinate_transformation_mode", "half_pixel"),
        ];
        self.node("Resize", [x, String::new(), String::new(), size], result, attributes);
    }

    /// What is asked for: a value by its name and shape.
    fn output(&self, name: &str, number: usize) -> Result<ValueInfoProto> {
        let mut shape = vec![open("batch"), Dimension::Value(self.channels(number)?)];
        match &self.graph.operations[number - 1] {
            Operation::Mean { .. } => {}
            Operation::Upsample { .. } => shape.extend([open("height"), open("width")]),
            _ => shape.extend([open(&format!("{CAM}_height")), open(&format!("{CAM}_width"))]),
        }
        Ok(ValueInfoProto::floats(name, shape))
    }

    fn channels(&self, number: usize) -> Result<i64> {
        match &self.graph.operations[number - 1] {
            Operation::Convolution { weight, .. } => self.variable(weight).map(|(shape, _)| shape[0] as i64),
            Operation::Normalization { bias, .. } => self.variable(bias).map(|(shape, _)| shape[0] as i64),
            Operation::Affine { .. } => Ok(3),
            Operation::Relu { x }
            | Operation::Relu6 { x }
            | Operation::Add { x, .. }
            | Operation::MaxPool { x, .. }
            | Operation::Mean { x }
            | Operation::Upsample { x } => self.channels(*x),
        }
    }

    fn variable(&self, name: &str) -> Result<&(Vec<usize>, Vec<f32>)> {
        self.variables.get(name).ok_or_else(|| Error::Data(format!("the network's weights have no tensor '{name}'")))
    }

    /// The name of a value: that under which it is asked for, if it is.
    fn name(&self, number: usize) -> String {
        if number == 0 {
            return IMAGE.to_owned();
        }
        let asked = self.graph.outputs.iter().find(|(_, output)| **output == number);
        asked.map_or_else(|| format!("value{number}"), |(name, _)| name.clone())
    }

    fn constant(&mut self, name: &str, dims: &[i64], values: &[f32]) -> String {
        self.initializers.push(TensorProto::floats(name, dims, values));
        name.to_owned()
    }

    /// A constant that several nodes use.
    fn scalar(&mut self, name: &str, value: f32) -> String {
        if self.initializers.iter().all(|constant| constant.name != name) {
            self.constant(name, &[], &[value]);
        }
        name.to_owned()
    }

    fn node(
        &mut self,
        op_type: &str,
        input: impl IntoIterator<Item = String>,
        result: &str,
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            input: input.into_iter().collect(),
            output: vec![result.to_owned()],
            name: result.to_owned(),
            op_type: op_type.to_owned(),
            attribute,
        });
    }
}
