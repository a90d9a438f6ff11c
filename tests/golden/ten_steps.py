"""Writes ten_steps.safetensors: ten SGD steps of the complete objective on a narrow ResNet38.

    python tests/golden/ten_steps.py --out DIR --salt X

Plain PyTorch: every equation of the paper's section 3 as it is written, on features upsampled to the image's grid.
Norms are frozen and nothing is dropped out, so a step is deterministic. Images, labels, padding and first weights
follow from their names (rule.py); the salt stands in the file's metadata.

What is stored is f32. `rounding.*` is how far other runs lie from it: in f64, and in f32 from first weights that
differ by some roundings. A pixel whose score rounds to the other side of the threshold changes every later step, so
no f32 program can be held to less. The committed set has the salt `f`, under which that does not happen."""

import torch
import torch.nn.functional as F
from torch import nn

from rule import arguments, fill, values, write

B, K, D, WIDTH, SIZE = 4, 5, 16, 4, (64, 48)
STEPS = 10
DISTURBED, DISTURBANCE = 8, 3e-7  # runs from slightly other weights, and how much other, relatively
THRESHOLD, TEMPERATURE, ALPHA = 0.2, 0.5, 0.9  # alpha of the moving average: ten steps must show it
WEIGHTS = {"cls": 1.0, "rcm": 0.5, "mam": 2.0}
LR, HEAD_LR, MOMENTUM, WEIGHT_DECAY, POWER = 0.005, 2.0, 0.9, 5e-4, 0.9
# Whose final values are stored, of MainNet and of SupportNet.
STORED = [
    "backbone.b3.conv_branch1.weight",
    "backbone.b4_5.conv_branch2b1.weight",
    "backbone.b5.conv_branch1.weight",
    "backbone.b6.conv_branch2a.weight",
    "feature.weight",
    "classifier.weight",
]


class Basic(nn.Module):
    def __init__(self, inputs, mid, outputs, stride=1, first_dilation=1, dilation=1):
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch1 = None
        if stride != 1 or inputs != outputs:
            self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.conv_branch2a = nn.Conv2d(inputs, mid, 3, stride, first_dilation, first_dilation, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(mid)
        self.conv_branch2b1 = nn.Conv2d(mid, outputs, 3, 1, dilation, dilation, bias=False)

    def forward(self, x):
        h = F.relu(self.bn_branch2a(x))
        skip = x if self.conv_branch1 is None else self.conv_branch1(h)
        return skip + self.conv_branch2b1(F.relu(self.bn_branch2b1(self.conv_branch2a(h))))


class Bottleneck(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.conv_branch2a = nn.Conv2d(inputs, outputs // 4, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(outputs // 4)
        self.conv_branch2b1 = nn.Conv2d(outputs // 4, outputs // 2, 3, 1, 4, 4, bias=False)
        self.bn_branch2b2 = nn.BatchNorm2d(outputs // 2)
        self.conv_branch2b2 = nn.Conv2d(outputs // 2, outputs, 1, bias=False)

    def forward(self, x):
        h = F.relu(self.bn_branch2a(x))
        y = self.conv_branch2b1(F.relu(self.bn_branch2b1(self.conv_branch2a(h))))
        return self.conv_branch1(h) + self.conv_branch2b2(F.relu(self.bn_branch2b2(y)))


class ResNet38(nn.Module):
    def __init__(self, width):
        super().__init__()
        w = width
        self.conv1a = nn.Conv2d(3, w, 3, 1, 1, bias=False)
        self.b2 = Basic(w, 2 * w, 2 * w, 2)
        self.b2_1, self.b2_2 = Basic(2 * w, 2 * w, 2 * w), Basic(2 * w, 2 * w, 2 * w)
        self.b3 = Basic(2 * w, 4 * w, 4 * w, 2)
        self.b3_1, self.b3_2 = Basic(4 * w, 4 * w, 4 * w), Basic(4 * w, 4 * w, 4 * w)
        self.b4 = Basic(4 * w, 8 * w, 8 * w, 2)
        for i in range(1, 6):
            setattr(self, f"b4_{i}", Basic(8 * w, 8 * w, 8 * w))
        self.b5 = Basic(8 * w, 8 * w, 16 * w, 1, 1, 2)
        self.b5_1, self.b5_2 = Basic(16 * w, 8 * w, 16 * w, 1, 2, 2), Basic(16 * w, 8 * w, 16 * w, 1, 2, 2)
        self.b6, self.b7 = Bottleneck(16 * w, 32 * w), Bottleneck(32 * w, 64 * w)
        self.bn7 = nn.BatchNorm2d(64 * w)

    def forward(self, x):
        x = self.conv1a(x)
        for name, block in self.named_children():
            if name.startswith("b") and name != "bn7":
                x = block(x)
        return F.relu(self.bn7(x))


class CamNet(nn.Module):
    """X [B, D, h, w], A [B, K, h, w] and the logits [B, K]."""

    def __init__(self):
        super().__init__()
        self.backbone = ResNet38(WIDTH)
        self.feature = nn.Conv2d(64 * WIDTH, D, 1, bias=False)
        self.classifier = nn.Conv2d(D, K, 1, bias=False)
        self.eval()  # frozen norms: running statistics, also in training

    def forward(self, images):
        feature = F.relu(self.feature(self.backbone(images)))
        cam = self.classifier(feature)
        return feature, cam, cam.mean(dim=(2, 3))


def trained(name, parameter):
    """With frozen norms: convolutions, but for those of the stem."""
    stem = ("backbone.conv1a.", "backbone.b2.", "backbone.b2_1.", "backbone.b2_2.")
    return parameter.dim() == 4 and not name.startswith(stem)


def batch(salt, step):
    """Images [B, 3, H, W] that are zero in the padding, labels [B, K], where there is image [B, H, W]."""
    name = f"{salt}step{step}."
    height, width = SIZE
    labels = (values(name + "labels", (B, K)) > 0).to(torch.get_default_dtype())
    labels[torch.arange(B), (torch.arange(B) + step) % K] = 1.0
    labels[torch.arange(B), (torch.arange(B) + step + 1) % K] = 0.0
    # A quarter of a side at most, on each side: floor((u + 1) / 2 x side / 4).
    border = (values(name + "padding", (B, 4)) + 1) / 2
    valid = torch.zeros(B, height, width)
    for b in range(B):
        top, bottom = (int(border[b, i] * (height // 4)) for i in (0, 1))
        left, right = (int(border[b, i] * (width // 4)) for i in (2, 3))
        valid[b, top : height - bottom, left : width - right] = 1.0
    images = values(name + "images", (B, 3, height, width)).to(valid.dtype)
    return images * valid[:, None], labels, valid.bool()


def upsample(x):
    return F.interpolate(x, SIZE, mode="bilinear", align_corners=False)


def scaled(images, scale):
    size = [int(side * scale) for side in SIZE]
    return F.interpolate(images, size, mode="bilinear", align_corners=True) if scale != 1 else images


def normalised(cam, labels):
    """ReLU, only the image's classes, divided by (maximum + 1e-5)."""
    cam = F.relu(cam) * labels[:, :, None, None]
    return cam / (cam.amax(dim=(2, 3), keepdim=True) + 1e-5)


def regions_of(cams, labels):
    """Eqs. 1 and 2 on the msinf-CAM."""
    msinf = normalised(sum(F.relu(cam) for cam in cams) / len(cams), labels)
    score, best = msinf.max(dim=1)
    return torch.where(score > THRESHOLD, best + 1, 0)  # [B, H, W]


def remember(prototypes, features, regions, valid):
    """Eq. 3: the mean inside a region, then over the images that have one; the latest of each class is kept."""
    for k in range(K + 1):
        means = []
        for b in range(B):
            mask = (regions[b] == k) & valid[b]
            if mask.any():
                means.append(features[b][:, mask].mean(dim=1))
        if means:
            prototypes[k] = torch.stack(means).mean(dim=0)


def rcm_loss(features, prototypes, regions, valid):
    """Eqs. 4 and 5, with the logarithm, over the pixels that are image."""
    classes = sorted(prototypes)
    table = F.normalize(torch.stack([prototypes[k] for k in classes]), dim=1)
    similarity = torch.einsum("bdhw,kd->bkhw", F.normalize(features, dim=1), table) / TEMPERATURE
    log_share = F.log_softmax(similarity, dim=1)
    terms = [-log_share[:, i][(regions == k) & valid] for i, k in enumerate(classes)]
    return torch.cat(terms).mean()


def mam_loss(main, support, labels):
    """Eqs. 6 to 8, the mean over images, classes and pixels, summed over the scales of MainNet."""
    main, support = [normalised(cam, labels) for cam in main], [normalised(cam, labels) for cam in support]
    total = 0.0
    for f in main:
        with torch.no_grad():
            xi = [2 - F.cosine_similarity(f.flatten(2), g.flatten(2), dim=2) for g in support]  # [B, K] each
            target = sum(x[:, :, None, None] * g for x, g in zip(xi, support)) / len(support)
        total = total + (f - target).abs().mean()
    return total


def train(salt, dtype, disturbance=None):
    """Ten steps in one precision: losses of every step, some final weights, the prototypes."""
    torch.set_default_dtype(dtype)
    main_net, support_net = CamNet(), CamNet()
    fill(main_net, salt)
    if disturbance is not None:
        with torch.no_grad():
            for name, p in main_net.named_parameters():
                p.mul_(1 + DISTURBANCE * values(f"disturbance{disturbance}.{name}", tuple(p.shape)))
    support_net.load_state_dict(main_net.state_dict())
    parameters = {name: p for name, p in main_net.named_parameters() if trained(name, p)}
    for name, p in main_net.named_parameters():
        p.requires_grad_(name in parameters)
    groups = [
        {"params": [p for name, p in parameters.items() if name.startswith("backbone.")], "factor": 1.0},
        {"params": [p for name, p in parameters.items() if not name.startswith("backbone.")], "factor": HEAD_LR},
    ]
    optimizer = torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    prototypes, losses = {}, {name: [] for name in ("total", "cls", "rcm", "mam")}

    for step in range(STEPS):
        images, labels, valid = batch(salt, step)
        scales = [scaled(images, s) for s in (0.5, 1, 2)]
        with torch.no_grad():
            seen = [support_net(x) for x in scales]
            support_cams = [upsample(cam) for _, cam, _ in seen]
            regions = regions_of(support_cams, labels)
            remember(prototypes, upsample(seen[1][0]), regions, valid)
        outputs = [main_net(x) for x in scales]
        feature, _, logits = outputs[1]
        terms = {
            "cls": F.binary_cross_entropy_with_logits(logits, labels),
            "rcm": rcm_loss(upsample(feature), prototypes, regions, valid),
            "mam": mam_loss([upsample(cam) for _, cam, _ in outputs], support_cams, labels),
        }
        total = sum(WEIGHTS[name] * loss for name, loss in terms.items())
        optimizer.zero_grad()
        total.backward()
        for group in optimizer.param_groups:
            group["lr"] = LR * group["factor"] * (1 - step / STEPS) ** POWER
        optimizer.step()
        with torch.no_grad():
            for (name, g), (_, f) in zip(support_net.named_parameters(), main_net.named_parameters()):
                g.copy_(ALPHA * g + (1 - ALPHA) * f)
        for name, loss in {"total": total, **terms}.items():
            losses[name].append(loss.item())

    tensors = {f"losses.{name}": torch.tensor(series) for name, series in losses.items()}
    for net, prefix in [(main_net, "main"), (support_net, "support")]:
        state = net.state_dict()
        tensors.update({f"{prefix}.{name}": state[name] for name in STORED})
    table = torch.stack([prototypes.get(k, torch.zeros(D)) for k in range(K + 1)])
    return {**tensors, "prototypes": table}


def main():
    asked = arguments(__doc__.splitlines()[0], salt="f")
    others = [train(asked.salt, torch.float64)]
    others += [train(asked.salt, torch.float32, disturbance) for disturbance in range(DISTURBED)]
    tensors = train(asked.salt, torch.float32)
    apart = {}
    for name, tensor in tensors.items():
        distance = torch.stack([(tensor - other[name]).abs().float() for other in others]).amax(dim=0)
        apart[f"rounding.{name}"] = distance if name.startswith("losses.") else distance.max().reshape(1)
        if name.startswith("losses."):
            print(name, "largest rounding", f"{(apart[f'rounding.{name}'] / tensor).max().item():.1e}")
    write(asked.out / "ten_steps.safetensors", {**tensors, **apart}, asked.salt)


if __name__ == "__main__":
    main()
