"""The rule by which golden inputs follow from their names, and the file format: what the scripts here share.

h = FNV-1a 64 of the name; element i (row-major) is splitmix64 of the state h + (i + 1) * 0x9E3779B97F4A7C15, its upper
40 bits dropped to 24: u = z >> 40, value = u / 2^23 - 1, f32 in [-1, 1). Every name is prefixed by the salt.
tests/parity/golden.rs is the same rule in Rust.
"""

import argparse
import json
import struct
from pathlib import Path

import numpy as np
import torch


def arguments(description, salt=""):
    """--out DIR and --salt X; by default the committed set, which was made with `salt`, is written again."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="the folder to write to")
    parser.add_argument("--salt", default=salt, help="put before every name: another salt gives another set")
    return parser.parse_args()


def values(name, shape):
    """The tensor of a (salted) name."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float32)
    return torch.from_numpy(u / np.float32(2**23) - np.float32(1)).reshape(shape)


def fill(net, salt):
    """Every parameter and buffer of `net` by the rule for its name."""
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            value = values(salt + name, tuple(tensor.shape))
            if tensor.dim() == 4:
                fan_in = tensor[0].numel()
                value = value * float(np.float32(np.sqrt(3.0 / fan_in)))
            elif name.endswith("running_var"):
                value = 1 + 0.5 * value.abs()
            elif name.endswith("weight"):
                value = 1 + 0.1 * value
            else:
                value = 0.1 * value
            tensor.copy_(value)


def write(path, tensors, salt):
    """A .safetensors file whose metadata hold the salt."""
    names = {torch.float32: "F32", torch.int64: "I64"}
    header, blobs, at = {"__metadata__": {"salt": salt, "made_by": f"PyTorch {torch.__version__}"}}, [], 0
    for name, tensor in sorted(tensors.items()):
        blob = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(f"{path}: {len(tensors)} tensors, {path.stat().st_size} bytes")
