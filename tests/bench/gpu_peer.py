"""The peer of gpu.rs: the same work in PyTorch, as a good engineer of the field writes it.

    python gpu_peer.py TASK

prints a line of JSON. The task is gpu.rs's, with `compile`; `rates` is the rate of a large bf16 product, and the
operations of the network. Layout is channels_last, but for f32, which cuDNN convolves several times faster without; SGD
is fused on CUDA, the moving average is one foreach call, bf16 is autocast. The network is ResNet38 of
tests/golden/ten_steps.py; RCM works on the grid at stride 8.
"""

import json
import pathlib
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

sys.path.append(str(pathlib.Path(__file__).parent.parent / "golden"))
from ten_steps import ResNet38  # noqa: E402

K, D, BATCHES = 20, 256, 4
THRESHOLD, TEMPERATURE, ALPHA, LR, HEAD_LR = 0.2, 0.5, 0.99, 1e-3, 10.0
TRAINING_SCALES, EXTRACTION_SCALES = (0.5, 1.0, 2.0), (0.5, 1.0, 1.5, 2.0)


class CamNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.backbone = ResNet38(width)
        self.feature = nn.Conv2d(64 * width, D, 1, bias=False)
        self.classifier = nn.Conv2d(D, K, 1, bias=False)

    def forward(self, images):
        feature = F.relu(self.feature(self.backbone(images)))
        return feature, self.classifier(feature)


class DeepLab(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.backbone = ResNet38(width)
        self.hidden = nn.Conv2d(64 * width, 512, 3, padding=12, dilation=12)
        self.classifier = nn.Conv2d(512, K + 1, 3, padding=12, dilation=12)

    def forward(self, images):
        return self.classifier(F.relu(self.hidden(self.backbone(images))))


def layout(task):
    return torch.contiguous_format if task["numerics"] == "f32" else torch.channels_last


def network(kind, task, trained=True):
    """A network with the weights of the file and frozen norms."""
    net = kind(task["width"])
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    stored = load_file(task["weights"])
    net.load_state_dict({name: t for name, t in stored.items() if shapes.get(name) == t.shape}, strict=False)
    net = net.eval().to(task["device"]).to(memory_format=layout(task))
    stem = ("backbone.conv1a", "backbone.b2")
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(trained and parameter.dim() == 4 and not name.startswith(stem))
    return torch.compile(net) if task["compile"] else net


def optimizer(net, task):
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    heads = [p for name, p in named if "backbone." not in name]
    backbone = [p for name, p in named if "backbone." in name]
    groups = [{"params": backbone}, {"params": heads, "lr": LR * HEAD_LR}]
    how = {"fused": True} if task["device"] != "cpu" else {"foreach": True}
    return torch.optim.SGD(groups, lr=LR, momentum=0.9, weight_decay=5e-4, **how)


def batches(task):
    made, stored = [], load_file(task["weights"])
    for index in range(BATCHES):
        labels = torch.zeros(task["batch"], K)
        labels[torch.arange(task["batch"]), (torch.arange(task["batch"]) + index) % K] = 1
        images = stored[f"batch.{index}"].to(task["device"]).to(memory_format=layout(task))
        made.append((images, labels.to(task["device"])))
    return made


def autocast(task):
    kind = "cpu" if task["device"] == "cpu" else "cuda"
    return torch.autocast(kind, torch.bfloat16, enabled=task["numerics"] == "bf16")


def normalised(cam, labels):
    cam = F.relu(cam) * labels[:, :, None, None]
    return cam / (cam.amax(dim=(2, 3), keepdim=True) + 1e-5)


def train_cam(task):
    main, support = network(CamNet, task), network(CamNet, task, trained=False)
    sgd, made = optimizer(main, task), batches(task)
    followers = [g for g, f in zip(support.parameters(), main.parameters()) if f.requires_grad]
    leaders = [f for f in main.parameters() if f.requires_grad]
    prototypes = torch.zeros(K + 1, D, device=task["device"])
    size = (task["crop"],) * 2

    def look(net, images, scale):
        sides = [round(side * scale) for side in size]
        x = images if scale == 1 else F.interpolate(images, sides, mode="bilinear", align_corners=True)
        with autocast(task):
            feature, cam = net(x)
        return feature.float(), cam.float()

    def upsample(x):
        return F.interpolate(x, size, mode="bilinear", align_corners=False)

    def rcm(feature, support_feature, cams, labels):
        with torch.no_grad():
            score, best = normalised(sum(F.relu(cam) for cam in cams) / len(cams), labels).max(dim=1)
            regions = torch.where(score > THRESHOLD, best + 1, 0)[:, None].float()
            regions = F.interpolate(regions, feature.shape[-2:])[:, 0].long()
            masks = F.one_hot(regions, K + 1).flatten(1, 2).transpose(1, 2).float()  # [B, K + 1, h w]
            pixels = masks.sum(2)
            means = torch.bmm(masks, support_feature.flatten(2).transpose(1, 2)) / pixels.clamp_min(1)[..., None]
            present = (pixels > 0).sum(0)
            newest = means.sum(0) / present.clamp_min(1)[:, None]
            prototypes.copy_(torch.where((present > 0)[:, None], newest, prototypes))
        table = F.normalize(prototypes, dim=1)[:, :, None, None]
        similarity = F.conv2d(F.normalize(feature, dim=1), table) / TEMPERATURE
        unseen = (prototypes == 0).all(dim=1)[None, :, None, None]
        return F.cross_entropy(similarity.masked_fill(unseen, float("-inf")), regions)

    def mam(main_cams, support_cams, labels):
        support_cams = [normalised(cam, labels) for cam in support_cams]
        total = 0.0
        for cam in main_cams:
            f = normalised(cam, labels)
            with torch.no_grad():
                xi = [2 - F.cosine_similarity(f.flatten(2), g.flatten(2), dim=2) for g in support_cams]
                target = sum(x[:, :, None, None] * g for x, g in zip(xi, support_cams)) / len(support_cams)
            total = total + (f - target).abs().mean()
        return total

    def step(index):
        images, labels = made[index % BATCHES]
        with torch.no_grad():
            seen = [look(support, images, scale) for scale in TRAINING_SCALES]
            support_cams = [upsample(cam) for _, cam in seen]
        feature, cam = look(main, images, 1.0)
        loss = F.binary_cross_entropy_with_logits(cam.mean(dim=(2, 3)), labels)
        if "rcm" in task["terms"]:
            loss = loss + rcm(feature, seen[1][0], support_cams, labels)
        if "mam" in task["terms"]:
            cams = [cam if scale == 1 else look(main, images, scale)[1] for scale in TRAINING_SCALES]
            loss = loss + mam([upsample(cam) for cam in cams], support_cams, labels)
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()
        with torch.no_grad():
            torch._foreach_lerp_(followers, leaders, 1 - ALPHA)
        return loss.detach()

    return step


def train_deeplab(task):
    net = network(DeepLab, task)
    sgd, made = optimizer(net, task), batches(task)
    labels = torch.randint(K + 1, (task["batch"], task["crop"], task["crop"]), device=task["device"])

    def step(index):
        images = made[index % BATCHES][0]
        with autocast(task):
            logits = net(images)
        logits = F.interpolate(logits.float(), images.shape[-2:], mode="bilinear")
        loss = F.cross_entropy(logits, labels)
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()
        return loss.detach()

    return step


def extract(task):
    net, made = network(CamNet, task, trained=False), batches(task)

    @torch.no_grad()
    def step(index):
        images, total = made[index % BATCHES][0], 0.0
        for scale in EXTRACTION_SCALES:
            sides = [round(side * scale) for side in images.shape[-2:]]
            x = images if scale == 1 else F.interpolate(images, sides, mode="bilinear", align_corners=True)
            for view in (x, x.flip(3)):
                with autocast(task):
                    cam = net(view)[1]
                total = total + F.relu(cam.float()).mean()
        return total

    return step


def wait(task):
    if task["device"] != "cpu":
        torch.cuda.synchronize()


def memory(task):
    if task["device"] == "cpu":
        status = pathlib.Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1e3
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return float(subprocess.run(asked, capture_output=True, text=True).stdout.strip() or "nan")


def rates(task):
    """The rate of a large bf16 product, in TFLOP/s, and operations of a step of RCM and of RCM + MAM.

    A step is a forward of each net at each scale, and of MainNet thrice: RCM's MainNet sees scale 1 alone.
    """
    from torch.utils.flop_counter import FlopCounterMode

    side = 8192 if task["device"] != "cpu" else 512
    a, b = (torch.randn(side, side, device=task["device"], dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(20):
        wait(task)
        start = time.perf_counter()
        a @ b
        wait(task)
        best = min(best, time.perf_counter() - start)
    with torch.device("meta"):
        net = CamNet(task["width"])
    forward = {}
    for scale in TRAINING_SCALES:
        side_of_crop = round(task["crop"] * scale)
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(task["batch"], 3, side_of_crop, side_of_crop, device="meta"))
        forward[scale] = counter.get_total_flops()
    every = sum(forward.values())
    operations = {"rcm": every + 3 * forward[1.0], "rcm+mam": 4 * every}
    return {"who": "rates", "tflops": 2 * side**3 / best / 1e12, "operations": operations}


def main():
    task = json.loads(sys.argv[1])
    if task["what"] == "rates":
        print(json.dumps(rates(task)))
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = task["numerics"] == "tf32"
    torch.backends.cudnn.benchmark = task["numerics"] != "f32"
    step = {"train-cam": train_cam, "train-deeplab": train_deeplab, "extract": extract}[task["what"]](task)
    losses = [step(index) for index in range(task["warmup"])]
    wait(task)
    start, timed = time.perf_counter(), 0
    while timed < task["steps"] and (timed < 2 or time.perf_counter() - start < task["seconds"]):
        losses.append(step(task["warmup"] + timed))
        timed += 1
    wait(task)
    seconds = (time.perf_counter() - start) / timed
    who = "PyTorch compiled" if task["compile"] else "PyTorch eager"
    found = {"who": who, "what": task["what"], "numerics": task["numerics"], "terms": task["terms"], "steps": timed}
    found |= {"seconds": seconds, "images_per_second": task["batch"] / seconds, "memory_mb": memory(task)}
    print(json.dumps(found | {"losses": [loss.item() for loss in losses]}))


main()
