"""The peer of crf.rs: pydensecrf on the picture and probabilities that it wrote.

usage: crf_peer.py DIR height width classes runs iterations  g.sxy g.compat  b.sxy b.srgb b.compat
Reads DIR/image (u8) and DIR/prob (f32), writes DIR/q (f32), prints the seconds of the best run.
"""

import pathlib
import sys
import time

try:
    import numpy as np
    import pydensecrf.densecrf as dcrf
except ImportError:
    sys.exit("pydensecrf2 not installed: pip install pydensecrf2 numpy")

directory = pathlib.Path(sys.argv[1])
height, width, classes, runs, iterations = map(int, sys.argv[2:7])
gaussian_sxy, gaussian_compat, bilateral_sxy, bilateral_srgb, bilateral_compat = map(float, sys.argv[7:12])
image = np.fromfile(directory / "image", np.uint8).reshape(height, width, 3)
probabilities = np.fromfile(directory / "prob", np.float32).reshape(classes, -1)

times = []
for _ in range(runs):
    start = time.perf_counter()
    crf = dcrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(-np.log(np.clip(probabilities, 1e-5, 1)))
    crf.addPairwiseGaussian(sxy=gaussian_sxy, compat=gaussian_compat)
    crf.addPairwiseBilateral(sxy=bilateral_sxy, srgb=bilateral_srgb, rgbim=image, compat=bilateral_compat)
    q = np.array(crf.inference(iterations), np.float32)
    times.append(time.perf_counter() - start)
q.tofile(directory / "q")
print(min(times))
