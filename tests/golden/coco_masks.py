"""Writes coco_masks.json: segmentations, and the pixels that pycocotools gives them.

    python tests/golden/coco_masks.py --out DIR        (pycocotools 2.0.11 and NumPy; shapes depend on --seed)

Each case has its size [h, w], its segmentation as COCO writes it, and `runs`, the lengths of the runs of pixels outside
and inside, column by column.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco


def runs(pixels):
    flat = pixels.flatten(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return ([0] if flat[0] else []) + lengths


def pixels_of(segmentation, h, w):
    if isinstance(segmentation, list):
        return coco.decode(coco.merge(coco.frPyObjects(segmentation, h, w)))
    if isinstance(segmentation["counts"], list):
        return coco.decode(coco.frPyObjects(segmentation, h, w))
    return coco.decode(segmentation)


def star(rng, h, w, points, reach):
    """A polygon around a point of the image; with a reach above 1 it leaves the image."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, points))
    radii = rng.uniform(0.2, 1.0, points) * reach
    x = rng.uniform(0, w) + radii * np.cos(angles) * w / 2
    y = rng.uniform(0, h) + radii * np.sin(angles) * h / 2
    return np.stack([x, y], 1).round(2).flatten().tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    cases = []

    def add(h, w, segmentation):
        pixels = pixels_of(segmentation, h, w)
        cases.append({"size": [h, w], "segmentation": segmentation, "runs": runs(pixels)})

    add(9, 12, [[2, 2, 9, 2, 9, 6, 2, 6]])                      # corners on corners of pixels
    add(9, 12, [[2.5, 2.5, 8.5, 2.5, 8.5, 6.5, 2.5, 6.5]])      # on their middles
    add(9, 12, [[2, 2, 2, 6, 9, 6, 9, 2]])                      # the other way round
    add(9, 12, [[0, 0, 12, 0, 12, 9, 0, 9]])                    # the whole image
    add(9, 12, [[-3, -2, 15, -2, 15, 12, -3, 12]])              # more than that
    add(9, 12, [[1, 1, 10, 8, 10, 1, 1, 8]])                    # crossing itself
    add(9, 12, [[3, 3, 3, 3, 7, 3, 7, 7, 7, 7, 3, 7]])          # points twice
    add(9, 12, [[5.1, 4.1, 5.2, 4.2, 5.15, 4.3]])               # smaller than a pixel
    add(9, 12, [[1, 1, 5, 1, 5, 5, 1, 5], [3, 3, 8, 3, 8, 7, 3, 7]])
    add(1, 1, [[0, 0, 1, 0, 1, 1]])
    for points, reach in [(3, 0.5), (4, 1), (5, 1.6), (7, 0.9), (12, 1), (30, 1.4), (60, 0.8)]:
        h, w = (int(side) for side in rng.integers(5, 40, 2))
        add(h, w, [star(rng, h, w, points, reach)])
        add(h, w, [star(rng, h, w, points, reach) for _ in range(3)])
    for density in (0.02, 0.3, 0.7):
        h, w = (int(side) for side in rng.integers(5, 30, 2))
        pixels = np.asfortranarray((rng.random((h, w)) < density).astype(np.uint8))
        add(h, w, {"size": [h, w], "counts": runs(pixels)})
        add(h, w, {"size": [h, w], "counts": coco.encode(pixels)["counts"].decode()})
    blob = np.asfortranarray(np.hypot(*np.ogrid[-60:61, -80:81]) < 50, dtype=np.uint8)
    add(*blob.shape, {"size": list(blob.shape), "counts": coco.encode(blob)["counts"].decode()})
    text = "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n"
    (args.out / "coco_masks.json").write_text(text)
    print(f"{len(cases)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()
