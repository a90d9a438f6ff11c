"""Writes resnet50.safetensors and mobilenet_v2.safetensors: the three taps of narrow backbones at output stride 8.

    python tests/golden/backbones.py --out DIR --salt X

Plain PyTorch with torchvision's names. Stride 8 as torchvision's `replace_stride_with_dilation` does it: a stage whose
stride is taken away starts with the dilation before it and goes on with the new one.
"""

import torch
from torch import nn

from rule import arguments, fill, values, write


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride, dilation):
        super().__init__()
        outputs = planes * 4
        self.conv1, self.bn1 = nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        skip = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + skip)


class ResNet50(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        #         planes, blocks, stride, first dilation, dilation
        stages = [(width, 3, 1, 1, 1), (2 * width, 4, 2, 1, 1), (4 * width, 6, 1, 1, 2), (8 * width, 3, 1, 2, 4)]
        inputs = width
        for number, (planes, blocks, stride, first, dilation) in enumerate(stages, 1):
            layer = [Bottleneck(inputs, planes, stride, first)]
            layer += [Bottleneck(planes * 4, planes, 1, dilation) for _ in range(blocks - 1)]
            setattr(self, f"layer{number}", nn.Sequential(*layer))
            inputs = planes * 4

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer1(nn.functional.max_pool2d(x, 3, 2, 1))
        conv4 = self.layer2(x)
        conv5 = self.layer3(conv4)
        return conv4, conv5, self.layer4(conv5)


def conv_norm(inputs, outputs, kernel, stride=1, dilation=1, groups=1):
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, inputs, expansion, outputs, stride, dilation, residual):
        super().__init__()
        hidden = inputs * expansion
        expand = [conv_norm(inputs, hidden, 1)] if expansion != 1 else []
        project = [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*expand, conv_norm(hidden, hidden, 3, stride, dilation, hidden), *project)
        self.residual = residual

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, width):
        super().__init__()
        scaled = lambda channels: max((channels * width + 16) // 32, 1)
        features, inputs = [conv_norm(3, scaled(32), 3, 2)], scaled(32)
        #        expansion, channels, stride and dilation of each block; features.7 and features.14 keep their size
        stages = [
            (1, 16, [(1, 1)]),
            (6, 24, [(2, 1), (1, 1)]),
            (6, 32, [(2, 1), (1, 1), (1, 1)]),
            (6, 64, [(1, 1), (1, 2), (1, 2), (1, 2)]),
            (6, 96, [(1, 2), (1, 2), (1, 2)]),
            (6, 160, [(1, 2), (1, 4), (1, 4)]),
            (6, 320, [(1, 4)]),
        ]
        for expansion, channels, blocks in stages:
            for index, (stride, dilation) in enumerate(blocks):
                outputs = scaled(channels)
                features.append(InvertedResidual(inputs, expansion, outputs, stride, dilation, residual=index > 0))
                inputs = outputs
        features.append(conv_norm(inputs, scaled(1280), 1))
        self.features = nn.Sequential(*features)

    def forward(self, x):
        conv4 = self.features[:7](x)
        conv5 = self.features[7:14](conv4)
        return conv4, conv5, self.features[14:](conv5)


class Named(nn.Module):
    """The names below `backbone.`."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone


def main():
    asked = arguments(__doc__.splitlines()[0])
    for name, backbone in [("resnet50", ResNet50(width=4)), ("mobilenet_v2", MobileNetV2(width=8))]:
        net = Named(backbone).eval()
        fill(net, asked.salt)
        with torch.no_grad():
            taps = net.backbone(values(asked.salt + f"{name}.input", (2, 3, 50, 41)))
        tensors = dict(zip(["conv4", "conv5", "conv6"], taps))
        write(asked.out / f"{name}.safetensors", tensors, asked.salt)


if __name__ == "__main__":
    main()
