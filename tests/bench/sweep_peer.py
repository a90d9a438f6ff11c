"""The peer of sweep.rs: reads .npy dictionaries and masks again for every threshold, as the field's scripts do.

usage: sweep_peer.py DIR images classes
Reads DIR/n.cams and DIR/n.png of synthetic_cams.rs. Prints seconds an image and threshold, and the mIoU at 0.3.
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
images, classes = map(int, sys.argv[2:4])
shape = Image.open(directory / "0.png").size[::-1]
for n in range(images):
    raw = (directory / f"{n}.cams").read_bytes()
    size = 1 + 4 * shape[0] * shape[1]
    maps = (raw[1 + i * size : 1 + (i + 1) * size] for i in range(raw[0]))
    cams = {m[0] - 1: np.frombuffer(m, np.float32, offset=1).reshape(shape) for m in maps}
    np.save(directory / f"{n}.npy", cams)


def confusion(threshold):
    counts = np.zeros(classes * classes, np.int64)
    for n in range(images):
        cams = np.load(directory / f"{n}.npy", allow_pickle=True).item()
        keys = np.concatenate([[0], np.array(list(cams)) + 1])
        scores = np.stack([np.full(shape, threshold, np.float32), *cams.values()])
        prediction = keys[np.argmax(scores, axis=0)]
        truth = np.array(Image.open(directory / f"{n}.png"))
        known = truth < 255
        counts += np.bincount(classes * truth[known].astype(int) + prediction[known], minlength=classes**2)
    return counts.reshape(classes, classes)


start = time.perf_counter()
matrices = [confusion(threshold) for threshold in (0.1, 0.2, 0.3)]
seconds = (time.perf_counter() - start) / (3 * images)
matrix = matrices[-1]
hits = np.diag(matrix)
iou = hits / (matrix.sum(0) + matrix.sum(1) - hits + 1e-10)
print(seconds, iou.mean())
