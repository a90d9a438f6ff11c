"""The networks of the benchmarks in PyTorch: a CAM net and DeepLab on the backbone of tests/golden/backbones.py.

Their norms are frozen: they stay in evaluation.
"""

import sys

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


def _backbone(task):
    if task["golden"] not in sys.path:
        sys.path.append(task["golden"])
    from backbones import MobileNetV2

    return MobileNetV2(width=32)


def _filled(net, weights, layout):
    missing, unexpected = net.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return net.eval().to(memory_format=layout)


class CamNet(nn.Module):
    """X [B, D, h, w], A [B, K, h, w] and the logits [B, K]."""

    def __init__(self, backbone, features, classes):
        super().__init__()
        self.backbone = backbone
        self.feature = nn.Conv2d(1280, features, 1, bias=False)
        self.classifier = nn.Conv2d(features, classes, 1, bias=False)

    def forward(self, images):
        feature = F.relu(self.feature(self.backbone(images)[2]))
        cam = self.classifier(feature)
        return feature, cam, cam.mean(dim=(2, 3))


class DeepLab(nn.Module):
    """Logits [B, K + 1, h, w]."""

    def __init__(self, backbone, hidden, classes):
        super().__init__()
        self.backbone = backbone
        self.hidden = nn.Conv2d(1280, hidden, 3, padding=12, dilation=12)
        self.classifier = nn.Conv2d(hidden, classes, 3, padding=12, dilation=12)

    def forward(self, images):
        return self.classifier(F.relu(self.hidden(self.backbone(images)[2])))


def cam_net(task, layout):
    weights = load_file(task["folder"] + "/weights.safetensors")
    classes, features = weights["classifier.weight"].shape[:2]
    return _filled(CamNet(_backbone(task), features, classes), weights, layout)


def deeplab(task, layout):
    weights = load_file(task["folder"] + "/weights.safetensors")
    classes, hidden = weights["classifier.weight"].shape[:2]
    return _filled(DeepLab(_backbone(task), hidden, classes), weights, layout)
