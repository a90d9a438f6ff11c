"""Runs exported networks on pictures: ONNX models in onnxruntime, safetensors in PyTorch by deeplab.py.

Standard input is a JSON list of {model, pictures: [{file, shape, outputs: {name: file}}]}, files of little-endian f32;
a model is checked before it runs. Prints what was run with.
"""
import json
import sys

import numpy as np


def onnx_network(path):
    import onnx
    import onnxruntime

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    facts = {"metadata": metadata, "outputs": {output.name: output.shape for output in session.get_outputs()},
             "operators": sorted({node.op_type for node in model.graph.node}), "producer": model.producer_name}
    return facts, lambda image: dict(zip(names, session.run(names, {"image": image})))


def torch_network(path):
    import torch
    from deeplab import load

    torch.set_num_threads(1)
    network = load(path)

    def run(image):
        with torch.inference_mode():
            return {name: value.numpy() for name, value in network(torch.from_numpy(image)).items()}

    return network.about, run


facts = []
for task in json.load(sys.stdin):
    about, run = (onnx_network if task["model"].endswith(".onnx") else torch_network)(task["model"])
    facts.append(about)
    for picture in task["pictures"]:
        image = np.fromfile(picture["file"], "<f4").reshape(picture["shape"])
        outputs = run(image)
        for name, file in picture["outputs"].items():
            outputs[name].astype("<f4").tofile(file)
        assert set(outputs) == set(picture["outputs"]), set(outputs)
json.dump(facts, sys.stdout)
