"""The peer of extract.rs: msinf-CAMs in a loop over photographs, each scale with its mirror image in one batch.

Writes the CAMs of the labels (f32, each in the photograph's size), photograph after photograph.
"""

from peer import answer


def prepare(task):
    import numpy as np
    import torch
    import torch.nn.functional as F
    from networks import cam_net
    from PIL import Image

    torch.set_num_threads(task["threads"])
    layout = torch.channels_last if task["layout"] == "channels_last" else torch.contiguous_format
    net = cam_net(task, layout)
    channels = [label - 1 for label in task["labels"]]
    mean, std = (np.array(values, np.float32) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    found = []

    def views(photo, scale):
        size = [round(side * scale) for side in photo.size]
        pixels = np.asarray(photo.resize(size, Image.BICUBIC), np.float32) / 255
        image = torch.from_numpy((pixels - mean) / std).permute(2, 0, 1)
        return torch.stack([image, image.flip(2)]).contiguous(memory_format=layout)

    def cams(photo):
        size, total = photo.size[::-1], 0
        for scale in task["scales"]:
            cam = net(views(photo, scale))[1][:, channels]
            cam = F.relu(F.interpolate(cam, size, mode="bilinear", align_corners=False))
            total = total + cam[0] + cam[1].flip(2)
        return total / (total.amax(dim=(1, 2), keepdim=True) + 1e-5)

    def run():
        with torch.inference_mode():
            found[:] = [cams(Image.open(file).convert("RGB")) for file in task["files"]]

    def write():
        np.concatenate([cam.numpy().ravel() for cam in found]).tofile(task["theirs"])
        return {}

    return run, write


answer(prepare)
