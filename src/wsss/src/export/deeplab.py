"""Loads in PyTorch a network that `camflow export model` wrote. Needs torch, numpy and safetensors.

    network = load("model.safetensors")    # a torch.nn.Module
    network(images)["logits"]              # images: [batch, 3, height, width], RGB of 0 to 255, float32

A segmentation network gives `logits` of every pixel, [batch, classes, height, width], class 0 being the background; a
classifier gives `logits` [batch, classes] and its activation maps before ReLU, `cam`, at a stride of 8 pixels.
`network.about` has the names of the classes, their colours, and where the network comes from.

    python deeplab.py model.safetensors picture.jpg mask.png    # needs Pillow
"""
import json
import sys

import numpy as np
import torch
from safetensors import safe_open
from torch.nn import functional as F


def load(path):
    """The network of a file, ready for inference."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if "graph" not in metadata:
            raise ValueError(f"{path} does not say what its network computes; `camflow export model` writes such files")
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    return Network(json.loads(metadata["graph"]), tensors, json.loads(metadata.get("camflow", "{}"))).eval()


class Network(torch.nn.Module):
    """Computes a list of operations; value 0 is the input, value n the result of operation n - 1."""

    def __init__(self, graph, tensors, about):
        super().__init__()
        self.operations, self.outputs, self.about = graph["operations"], graph["outputs"], about
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "/"), tensor)

    def variable(self, name):
        return None if name is None else getattr(self, name.replace(".", "/"))

    def forward(self, images):
        last = {}  # the operation after which a value is not needed any more
        for number, operation in enumerate(self.operations, 1):
            last.update({operation[key]: number for key in "xy" if key in operation})
        last.update(dict.fromkeys(self.outputs.values(), len(self.operations) + 1))
        values = {0: images}
        for number, operation in enumerate(self.operations, 1):
            values[number] = self.compute(operation, values, images)
            values = {n: value for n, value in values.items() if last.get(n, 0) > number}
        return {name: values[number] for name, number in self.outputs.items()}

    def compute(self, operation, values, images):
        kind, x, get = operation["operation"], values[operation["x"]], lambda key: self.variable(operation[key])
        if kind == "affine":
            factor, offset = (x.new_tensor(operation[key]).view(1, -1, 1, 1) for key in ("factor", "offset"))
            return x * factor + offset
        if kind == "convolution":
            return convolve(x, get("weight"), get("bias"), operation)
        if kind == "normalization":
            return F.batch_norm(x, get("mean"), get("variance"), get("weight"), get("bias"), eps=operation["eps"])
        if kind == "relu":
            return F.relu(x)
        if kind == "relu6":
            return F.relu6(x)
        if kind == "add":
            return x + values[operation["y"]]
        if kind == "max_pool":
            return F.max_pool2d(x, operation["kernel"], operation["stride"], operation["padding"])
        if kind == "mean":
            return x.mean((2, 3))
        if kind == "upsample":
            return F.interpolate(x, images.shape[2:], mode="bilinear", align_corners=False)
        raise ValueError(f"operation {kind} is not known here; take deeplab.py from the camflow that wrote the file")


def convolve(x, weight, bias, operation):
    stride, dilation, groups = (operation[key] for key in ("stride", "dilation", "groups"))
    kernel = weight.shape[2]
    if operation["padding"] == "centred":
        return F.conv2d(x, weight, bias, stride, dilation * (kernel // 2), dilation, groups)
    # TensorFlow's SAME: as few zeros as give ceil(side / stride) cells, of an odd number one more at the far side.
    around = []
    for side in (x.shape[3], x.shape[2]):
        zeros = max((-(-side // stride) - 1) * stride + dilation * (kernel - 1) + 1 - side, 0)
        around += [zeros // 2, zeros - zeros // 2]
    return F.conv2d(F.pad(x, around), weight, bias, stride, 0, dilation, groups)


def main(model, picture, mask=None):
    from PIL import Image, ImageOps

    network = load(model)
    image = ImageOps.exif_transpose(Image.open(picture))
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    image = np.array(image.convert("RGB"), dtype=np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(image).permute(2, 0, 1)[None])["logits"][0]
    names = network.about["classes"][-len(logits):]
    if logits.dim() == 1:
        if mask:
            sys.exit(f"{model} is a classifier, which paints no mask")
        print(*(f"{score:.3f} {name}" for name, score in zip(names, logits.sigmoid().tolist())), sep="\n")
        return
    labels = logits.argmax(0).numpy().astype(np.uint8)
    for index in np.unique(labels):
        print(f"{(labels == index).mean():6.1%} {names[index]}")
    if mask:
        painted = Image.fromarray(labels, mode="P")
        painted.putpalette(np.array(network.about["palette"], dtype=np.uint8).tobytes())
        painted.save(mask)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python deeplab.py model.safetensors picture.jpg [mask.png]")
    main(*sys.argv[1:])
