"""The peer of predict.rs: masks of photographs by DeepLab, photographs of one size `batch` at a time."""

import itertools
import pathlib

from peer import answer


def prepare(task):
    import numpy as np
    import torch
    import torch.nn.functional as F
    from networks import deeplab
    from PIL import Image

    torch.set_num_threads(task["threads"])
    layout = torch.channels_last if task["layout"] == "channels_last" else torch.contiguous_format
    net = deeplab(task, layout)
    mean, std = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    palette = np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes()
    out = pathlib.Path(task["out"])
    out.mkdir(exist_ok=True)

    def batches():
        photos = [(file, Image.open(file).convert("RGB")) for file in task["files"]]
        photos.sort(key=lambda photo: photo[1].size)
        for _, group in itertools.groupby(photos, key=lambda photo: photo[1].size):
            group = list(group)
            for start in range(0, len(group), task["batch"]):
                yield group[start : start + task["batch"]]

    def run():
        with torch.inference_mode():
            for group in batches():
                images = torch.stack([torch.from_numpy(np.array(photo)).permute(2, 0, 1) for _, photo in group])
                images = ((images / 255 - mean) / std).contiguous(memory_format=layout)
                logits = F.interpolate(net(images), images.shape[-2:], mode="bilinear", align_corners=False)
                labels = logits.argmax(1).to(torch.uint8).numpy()
                for (file, _), label in zip(group, labels):
                    mask = Image.fromarray(label, mode="P")
                    mask.putpalette(palette)
                    mask.save(out / (pathlib.Path(file).stem + ".png"))

    return run, lambda: {}


answer(prepare)
