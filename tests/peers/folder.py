"""Masks for pictures by an exported network, as a user of the field would loop: Pillow, PyTorch or onnxruntime.

Standard input is JSON: {model, flip, device, threads, pictures: [{file, mask}]}; a model is an .onnx file, or a
.safetensors file with deeplab.py on the path. Prints the seconds that the pictures took, after one to warm up.
"""
import json
import sys
import time

import numpy as np
from PIL import Image


def onnx_network(path, _device, threads):
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    return json.loads(metadata["palette"]), lambda images: session.run(["logits"], {"image": images})[0]


def torch_network(path, device, threads):
    import torch
    from deeplab import load

    torch.set_num_threads(threads)
    network = load(path).to(device)

    def run(images):
        with torch.inference_mode():
            return network(torch.from_numpy(images).to(device))["logits"].cpu().numpy()

    return network.about["palette"], run


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def predict(run, image, flip):
    image = np.asarray(image, np.float32).transpose(2, 0, 1)[None]
    if not flip:
        return run(image)[0].argmax(0)
    scores = softmax(run(np.ascontiguousarray(np.concatenate([image, image[..., ::-1]]))))
    return (scores[0] + scores[1][..., ::-1]).argmax(0)


def main(task):
    network = onnx_network if task["model"].endswith(".onnx") else torch_network
    palette, run = network(task["model"], task["device"], task["threads"])
    predict(run, Image.open(task["pictures"][0]["file"]).convert("RGB"), task["flip"])
    started = time.perf_counter()
    for picture in task["pictures"]:
        labels = predict(run, Image.open(picture["file"]).convert("RGB"), task["flip"]).astype(np.uint8)
        mask = Image.fromarray(labels, mode="P")
        mask.putpalette(np.array(palette, dtype=np.uint8).tobytes())
        mask.save(picture["mask"])
    json.dump({"seconds": time.perf_counter() - started}, sys.stdout)


main(json.load(sys.stdin))
