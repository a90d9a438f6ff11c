"""The peer of images.rs: Pillow and torchvision on the same photographs, one thread.

usage: images_peer.py batch rounds crop FILE...
Prints "NAME | DECODING ALL": the faster of two forms, and seconds an image of the best round.

- Pillow: transforms of Pillow's pictures, as torchvision's training references use them.
- tensors: transforms v2 of 8-bit tensors, which torchvision's documentation recommends for speed.
"""

import io
import pathlib
import random
import sys
import time

try:
    import torch
    from PIL import Image
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as F
except ImportError as error:
    sys.exit(f"{error.name} not installed: pip install torch torchvision pillow")

batch_size, rounds, crop = map(int, sys.argv[1:4])
files = [pathlib.Path(name).read_bytes() for name in sys.argv[4:]]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
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


def pillow(data):
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


def best(work):
    """Seconds an image of the best round."""
    seconds = []
    for number in range(rounds):
        random.seed(number)
        torch.manual_seed(number)
        start = time.perf_counter()
        work()
        seconds.append((time.perf_counter() - start) / len(files))
    return min(seconds)


def epoch(form):
    for start in range(0, len(files), batch_size):
        torch.stack([form(data) for data in files[start : start + batch_size]])


torch.set_num_threads(1)
decoding = best(lambda: [decode(data) for data in files])
forms = {"Pillow, torchvision on pictures": pillow, "Pillow, torchvision on tensors": tensors}
seconds = {name: best(lambda form=form: epoch(form)) for name, form in forms.items()}
name = min(seconds, key=seconds.get)
print(f"{name} | {decoding} {seconds[name]}")
