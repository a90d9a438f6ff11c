"""The peer of crf.rs: pydensecrf2 on the picture and probabilities in its directory.

Reads `image` (u8) and `prob` (f32), writes `q` (f32).
"""

import pathlib

from peer import answer


def prepare(task):
    import numpy as np
    import pydensecrf.densecrf as dcrf

    directory = pathlib.Path(task["directory"])
    height, width, classes = task["height"], task["width"], task["classes"]
    image = np.fromfile(directory / "image", np.uint8).reshape(height, width, 3)
    probabilities = np.fromfile(directory / "prob", np.float32).reshape(classes, -1)
    found = {}

    def run():
        crf = dcrf.DenseCRF2D(width, height, classes)
        crf.setUnaryEnergy(-np.log(np.clip(probabilities, 1e-5, 1)))
        crf.addPairwiseGaussian(**task["gaussian"])
        crf.addPairwiseBilateral(rgbim=image, **task["bilateral"])
        found["q"] = np.array(crf.inference(task["iterations"]), np.float32)

    def write():
        found["q"].tofile(directory / "q")
        return {}

    return run, write


answer(prepare)
