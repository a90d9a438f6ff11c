"""The peer of images.rs: Pillow and torchvision on the same photographs.

`form` is `decode`, for decoding alone, or how crops are made of photographs:

- `pictures`: transforms of Pillow's pictures, as torchvision's training references use them.
- `tensors`: transforms v2 of 8-bit tensors, which torchvision's documentation recommends for speed.

At the end it writes some photographs at half their size, flipped and normalised, to be compared.
"""

import io
import pathlib
import random

from peer import answer

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def prepare(task):
    import numpy as np
    import torch
    from PIL import Image
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as F

    torch.set_num_threads(task["threads"])
    files, crop = [pathlib.Path(name).read_bytes() for name in task["files"]], task["crop"]
    jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)

    def decode(data):
        return Image.open(io.BytesIO(data)).convert("RGB")

    def scaled(height, width):
        factor = random.uniform(0.5, 1.3)
        return [round(height * factor), round(width * factor)]

    def cut(image, height, width):
        """A longer side is cut at a random offset; a shorter one is put at a random offset of zeros."""
        top, left = random.randint(0, max(0, height - crop)), random.randint(0, max(0, width - crop))
        image = image[:, top : top + crop, left : left + crop]
        out = torch.zeros(3, crop, crop)
        height, width = image.shape[1:]
        top, left = random.randint(0, crop - height), random.randint(0, crop - width)
        out[:, top : top + height, left : left + width] = image
        return out

    def pictures(data):
        image = decode(data)
        height, width = scaled(image.height, image.width)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        if random.random() < 0.5:
            image = F.horizontal_flip(image)
        image = F.to_dtype(F.pil_to_tensor(jitter(image)), torch.float32, scale=True)
        return cut(F.normalize(image, MEAN, STD, inplace=True), height, width)

    def tensors(data):
        image = F.pil_to_tensor(decode(data))
        height, width = scaled(*image.shape[1:])
        image = F.resize(image, [height, width], interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
        if random.random() < 0.5:
            image = F.horizontal_flip(image)
        image = F.to_dtype(jitter(image), torch.float32, scale=True)
        return cut(F.normalize(image, MEAN, STD, inplace=True), height, width)

    def flipped(data):
        image = decode(data)
        image = image.resize([round(side * 0.5) for side in image.size], Image.Resampling.BICUBIC)
        image = F.to_dtype(F.pil_to_tensor(F.horizontal_flip(image)), torch.float32, scale=True)
        return F.normalize(image, MEAN, STD).numpy().ravel()

    form = {"decode": decode, "pictures": pictures, "tensors": tensors}[task["form"]]

    def run():
        for start in range(0, len(files), task["batch"]):
            made = [form(data) for data in files[start : start + task["batch"]]]
            if task["form"] != "decode":
                torch.stack(made)

    def write():
        np.concatenate([flipped(data) for data in files[: task["compared"]]]).tofile(task["flipped"])
        return {}

    return run, write


answer(prepare)
