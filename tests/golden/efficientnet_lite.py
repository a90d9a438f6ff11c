"""Writes efficientnet_lite0.safetensors and efficientnet_lite2.safetensors: what narrow networks of the package
efficientnet-lite-pytorch compute.

    python tests/golden/efficientnet_lite.py --out DIR --salt X

Architecture, constants and padding (TensorFlow's SAME, for the size at hand) are the package's. Only the channels are
made fewer. `even.*` and `odd.*` are two sizes of picture, on whose maps SAME pads differently:

    stride32          extract_features of the network as the package builds it
    conv4 .. conv6    the taps after strides were replaced by dilation: a convolution whose stride is taken away keeps
                      the dilation before it, and all later ones double theirs

The pictures are what the pipeline gives a backbone, of which the package's own input follows channel by channel.
"""

import math

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from rule import arguments, fill, values, write

SIZES = {"even": (2, 3, 64, 48), "odd": (1, 3, 53, 34)}
WIDTH = 4
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Named(nn.Module):
    """The names below `backbone.`."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone


def narrow(name):
    """The package's network at WIDTH of 32 channels after the stem, without its classifier."""
    net = EfficientNet.from_name(f"efficientnet-{name}", image_size=None)
    scaled = lambda channels: max((channels * WIDTH + 16) // 32, 1)

    def replace(module, conv, norm, inputs, outputs, groups=1):
        old = getattr(module, conv)
        new = type(old)(inputs, outputs, old.kernel_size[0], stride=old.stride, groups=groups, bias=False)
        setattr(module, conv, new)
        old = getattr(module, norm)
        setattr(module, norm, nn.BatchNorm2d(outputs, eps=old.eps, momentum=old.momentum))

    inputs = scaled(net._conv_stem.out_channels)
    replace(net, "_conv_stem", "_bn0", 3, inputs)
    for block in net._blocks:
        args = block._block_args
        hidden, outputs = inputs * args.expand_ratio, scaled(args.output_filters)
        if args.expand_ratio != 1:
            replace(block, "_expand_conv", "_bn0", inputs, hidden)
        replace(block, "_depthwise_conv", "_bn1", hidden, hidden, groups=hidden)
        replace(block, "_project_conv", "_bn2", hidden, outputs)
        block._block_args = args._replace(input_filters=inputs, output_filters=outputs)
        inputs = outputs
    replace(net, "_conv_head", "_bn1", inputs, scaled(net._conv_head.out_channels))
    net._fc = nn.Identity()
    return net


def dilate(net):
    """Replaces strides by dilation from stride 8 on; returns the last block of stride 8 and that before stride 32."""
    reached, dilation, ends = 2, 1, []
    for index, block in enumerate(net._blocks):
        conv = block._depthwise_conv
        stride = conv.stride[0]
        conv.dilation = (dilation, dilation)
        if reached * stride > 8:
            conv.stride, dilation = (1, 1), dilation * stride
            ends.append(index - 1)
        else:
            reached *= stride
    return ends


def taps(net, ends, x):
    x = net._swish(net._bn0(net._conv_stem(x)))
    found = []
    for index, block in enumerate(net._blocks):
        x = block(x)
        if index in ends:
            found.append(x)
    return [*found, net._swish(net._bn1(net._conv_head(x)))]


def main():
    asked = arguments(__doc__.splitlines()[0])
    channel = lambda tensor: tensor.reshape(1, 3, 1, 1)
    for name in ["lite0", "lite2"]:
        net = Named(narrow(name)).eval()
        fill(net, asked.salt)
        net, tensors = net.backbone, {}
        pictures = {size: values(asked.salt + f"{name}.{size}", shape) for size, shape in SIZES.items()}
        inputs = {size: ((x * channel(STD) + channel(MEAN)) * 255 - 127) / 128 for size, x in pictures.items()}
        with torch.no_grad():
            for size, x in inputs.items():
                tensors[f"{size}.stride32"] = net.extract_features(x)
                assert tensors[f"{size}.stride32"].shape[2:] == tuple(math.ceil(side / 32) for side in x.shape[2:])
            ends = dilate(net)
            for size, x in inputs.items():
                tensors |= zip([f"{size}.conv4", f"{size}.conv5", f"{size}.conv6"], taps(net, ends, x))
        write(asked.out / f"efficientnet_{name}.safetensors", tensors, asked.salt)


if __name__ == "__main__":
    main()
