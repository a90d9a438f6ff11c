//! A trained network as a file: safetensors with what its use takes, and `deeplab.py` beside it; or ONNX.

use std::path::Path;

use artifact::{Artifact, Error, Result};
use serde_json::{Value, json};
use wsss::export::{Model, Network, PYTHON, graph, model_file, onnx};

use crate::Answer;
use crate::folder::write_these;

/// The metadata's key of the list of operations.
const GRAPH: &str = "graph";
/// The program beside a safetensors file.
const PROGRAM: &str = "deeplab.py";

/// Writes the file.
pub fn export(artifact: &Artifact, link: Option<&str>, file: &Path, force: bool) -> Result<Answer> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let format: fn(&Model) -> Result<Vec<u8>> = match ending.as_str() {
        "safetensors" => safetensors,
        "onnx" => onnx,
        _ => {
            return Err(Error::Config(format!(
                "{}: a network is written as .safetensors or .onnx; end the name so",
                file.display()
            )));
        }
    };
    let model = Model::of(artifact, link)?;
    let bytes = format(&model)?;
    let text = format!("the network of {} in {}", artifact.record().preimage.stage, file.display());
    let answer = Answer::new(artifact, file, text).with("classes", json!(model.about.classes));
    if ending == "onnx" {
        write_these(&[(file, &bytes)], force)?;
        return Ok(answer);
    }
    let program = file.with_file_name(PROGRAM);
    write_these(&[(file, &bytes), (&program, PYTHON.as_bytes())], force)?;
    let text = format!("{}; {} loads it in PyTorch", answer.text, program.display());
    Ok(Answer { text, ..answer }.with("program", program.to_string_lossy()))
}

fn safetensors(model: &Model) -> Result<Vec<u8>> {
    let graph = serde_json::to_string(&graph::of(model)?).expect("a graph is JSON");
    model.encode(&[(GRAPH, graph)])
}

/// Classes and palette by the channels of the logits, and all that is known of the network.
fn onnx(model: &Model) -> Result<Vec<u8>> {
    let about = &model.about;
    let (kind, from) = match about.network {
        Network::Deeplab { .. } => ("deeplab", 0),
        Network::Classifier { .. } => ("classifier", 1),
    };
    let metadata = [
        ("kind", kind.to_owned()),
        ("classes", json!(about.classes[from..]).to_string()),
        ("palette", json!(about.palette[from..]).to_string()),
        ("stride", about.stride.to_string()),
        (model_file::ABOUT, serde_json::to_value(about).unwrap_or(Value::Null).to_string()),
    ];
    let variables = model.tensors().map(|(name, shape, values)| (name.to_owned(), (shape, values))).collect();
    onnx::encode(&graph::of(model)?, &variables, &metadata)
}
