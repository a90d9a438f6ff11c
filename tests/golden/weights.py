"""Writes the PyTorch files of tests/golden/weights that the shared vectors lack: whole checkpoints of a training
script, with views, parameters and every type of element, in each layout and pickle protocol; and what they hold.
objects_*.pth have every kind of object beside two tensors, 0 to 5 and 6 to 8.

    python tests/golden/weights.py --out tests/golden/weights        (PyTorch alone; values depend on --seed)
"""

import argparse
import collections
import datetime
import json
import pathlib
import struct

import numpy as np
import torch

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def write_safetensors(tensors, path):
    header, data = {}, b""
    for name, tensor in tensors.items():
        flat = tensor.detach().clone().contiguous().flatten()
        raw = bytes(flat.view(torch.uint8).tolist()) if tensor.numel() else b""
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    layers = collections.OrderedDict(conv=torch.nn.Conv2d(2, 3, 1, bias=False), bn=torch.nn.BatchNorm2d(3))
    net = torch.nn.Sequential(layers)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.randn(2, 2, 4, 4)).sum().backward()
    optimizer.step()
    state = net.state_dict()  # carries `_metadata`
    base = torch.randn(4, 6)
    state["view.rows"] = base[1:3, ::2]
    state["view.transposed"] = base.t()[2:]
    state["view.channels_last"] = torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last)
    state["parameter"] = torch.nn.Parameter(torch.randn(2))
    state["empty"] = torch.zeros(0, 3)
    state["scalar"] = torch.tensor(1.5)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        state[f"type.{dtype}"] = torch.randn(3).to(dtype)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        state[f"type.{dtype}"] = torch.tensor([0, 1, 1]).to(dtype)
    checkpoint = {"epoch": 3, "arch": "resnet", "best": 0.5, "losses": [3.0, 2.0, 1], "size": torch.Size([1, 2]),
                  "state_dict": state, "optimizer": optimizer.state_dict()}

    write_safetensors(state, args.out / "checkpoint.safetensors")
    torch.save(checkpoint, args.out / "checkpoint_zip.pth")
    torch.save(checkpoint, args.out / "checkpoint_zip_protocol4.pth", pickle_protocol=4)
    legacy = {"_use_new_zipfile_serialization": False}
    torch.save(checkpoint, args.out / "checkpoint_legacy.pth", **legacy)
    torch.save(checkpoint, args.out / "checkpoint_legacy_protocol4.pth", pickle_protocol=4, **legacy)
    objects = {
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs/1"), names=["a"]),
        "counter": collections.Counter("hello"),
        "default": collections.defaultdict(list, a=[1]),
        "queue": collections.deque([1, 2]),
        "best": np.float64(0.5),
        "step": np.int64(7),
        "history": np.arange(4, dtype=np.float32),
        "path": pathlib.PurePosixPath("data"),
        "when": datetime.datetime(2020, 2, 3),
        "set": {1, 2},
        "frozen": frozenset([3]),
        "complex": torch.tensor([1 + 2j]),
        "net": collections.OrderedDict(
            [("module.w", torch.arange(6.0).reshape(2, 3)), ("module._orig_mod.b", torch.tensor([6.0, 7.0, 8.0]))]
        ),
    }
    torch.save(objects, args.out / "objects_zip.pth")
    torch.save(objects, args.out / "objects_zip_protocol4.pth", pickle_protocol=4)
    del objects["complex"]  # its storage is of no type that weights have, so what follows it cannot be found
    torch.save(objects, args.out / "objects_legacy.pth", **legacy)


if __name__ == "__main__":
    main()
