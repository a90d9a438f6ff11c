"""The peer of cam_store.rs: a pickled dictionary of class -> f32 [H, W] an image, as psa, IRN and SEAM write CAMs.

usage: cam_store_peer.py DIR different images
Reads DIR/n.cams of synthetic_cams.rs. Prints bytes a value, milliseconds to read all, milliseconds to read one.
"""

import pathlib
import sys
import time

try:
    import numpy as np
    from PIL import Image
except ImportError:
    sys.exit("numpy or Pillow not installed: pip install numpy pillow")

directory = pathlib.Path(sys.argv[1])
different, images = map(int, sys.argv[2:4])
shape = Image.open(directory / "0.png").size[::-1]
values = size_of_all = 0
for n in range(images):
    raw = (directory / f"{n % different}.cams").read_bytes()
    size = 1 + 4 * shape[0] * shape[1]
    maps = (raw[1 + i * size : 1 + (i + 1) * size] for i in range(raw[0]))
    cams = {m[0] - 1: np.frombuffer(m, np.float32, offset=1).reshape(shape) for m in maps}
    np.save(directory / f"{n}.npy", cams)
    values += sum(cam.size for cam in cams.values())
    size_of_all += (directory / f"{n}.npy").stat().st_size


def read_all():
    start = time.perf_counter()
    for n in range(images):
        np.load(directory / f"{n}.npy", allow_pickle=True).item()
    return time.perf_counter() - start


seconds = min(read_all() for _ in range(3))
print(size_of_all / values, seconds * 1e3, seconds * 1e3 / images)
