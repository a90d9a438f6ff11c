"""Writes the files of image-level labels of tests/golden/labels: dicts by image name, as the scripts of this field's
repositories save them.

    python tests/golden/cls_labels.py --out DIR        (NumPy 1.26 and 2, once each; see --tag)
"""

import argparse
import pickle
from pathlib import Path

import numpy as np

NAMES = ["2007_000032", "2007_000039", "2007_000063"]
HOT = [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "labels")
    parser.add_argument("--tag", default=f"numpy{np.__version__.split('.')[0]}", help="part of the files' names")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)

    def save(name, labels):
        np.save(args.out / f"{name}_{args.tag}.npy", labels)

    rows = {dtype: [np.array(row, dtype) for row in HOT] for dtype in ("f4", "f8", "f2", "i8", "u1", "?", ">f4")}
    save("names_f4", dict(zip(NAMES, rows["f4"])))
    save("texts_f8", dict(zip(np.array(NAMES), rows["f8"])))
    # As np.loadtxt(list, dtype=np.int32) gives the names.
    save("int32_f4", dict(zip(np.array([int(name) for name in NAMES], np.int32), rows["f4"])))
    save("ints_i8", {int(name): row for name, row in zip(NAMES, rows["i8"])})
    save("files_bool", {f"JPEGImages/{name}.jpg": row for name, row in zip(NAMES, rows["?"])})
    save("names_u1_f2", dict(zip(NAMES, [rows["u1"][0], rows["f2"][1], rows["u1"][2]])))
    save("big_endian", dict(zip(NAMES, rows[">f4"])))
    save("array", np.array(HOT, "f4"))
    save("lists", dict(zip(NAMES, HOT)))
    (args.out / f"plain_{args.tag}.npy").write_bytes(pickle.dumps(dict(zip(NAMES, HOT)), 2))


if __name__ == "__main__":
    main()
