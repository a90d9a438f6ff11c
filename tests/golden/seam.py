"""Writes seam.safetensors: SEAM's pixel correlation module (PCM), its losses on two views, and their gradients.

    python tests/golden/seam.py --out DIR --salt X

Plain PyTorch: Wang et al., "Self-supervised Equivariant Attention Mechanism for Weakly Supervised Semantic
Segmentation", CVPR 2020, sections 3.2 to 3.4. Where the paper leaves a choice open, this follows the code that its
authors released, but for one thing: the network's CAM has K foreground channels and no background channel. Background
is made here and stands in front of the classes, in maps and in labels.

View o is the augmented image. View t is the same image at 0.3 of the size. A network gives each view its raw CAM and
its taps conv4 and conv5; here these are inputs. Inputs and weights follow from their names (rule.py) and are stored
too. A value close to a tie can make an f32 program choose the other side of a maximum, and its gradient then differs:
the script refuses a salt under which that happens.

In shapes: B images, K classes, H x W an image, h x w the grid of its CAM, N = h w.
"""

import math

import torch
import torch.nn.functional as F

from rule import arguments, values, write

B, K = 2, 4
IMAGE = (40, 48)  # of view o; view t has 12 x 14
SCALE = 0.3  # of view t
GRID = {"o": (5, 6), "t": (2, 2)}
C4, C5 = 8, 12  # channels of the taps
C1, C2 = 4, 8  # channels of f8_3 and f8_4: 64 and 128 at the backbone's full width
CONV4 = {"o": (10, 12), "t": GRID["t"]}  # conv4 of view o is finer than the CAM, so that it has to be resized
LABELS = [[0, 1, 0, 0], [1, 0, 1, 1]]
SILENT = (1, 2)  # the image and the class that it has, but whose CAM is negative everywhere in view o
EPS = 1e-5
HARD = 0.2  # part of the entries that the ECR loss keeps
DIFFERENTIATED = ["cam_o", "cam_t", "f8_3", "f8_4", "f9"]
# Runs from inputs that differ by some roundings, how much they differ, and how far their results may lie apart.
DISTURBED, DISTURBANCE, APART = 8, 3e-7, 2e-5


def inputs(salt):
    """Images, labels, raw CAMs and taps of both views, and the PCM's weights."""
    made = {
        "image_o": values(salt + "image_o", (B, 3, *IMAGE)),
        "labels": torch.tensor(LABELS, dtype=torch.float32),
    }
    for view, grid in GRID.items():
        made[f"cam_{view}"] = values(f"{salt}cam_{view}", (B, K, *grid))
        made[f"conv4_{view}"] = values(f"{salt}conv4_{view}", (B, C4, *CONV4[view]))
        made[f"conv5_{view}"] = values(f"{salt}conv5_{view}", (B, C5, *grid))
    made["cam_o"][SILENT] -= 1
    for name, outputs, fan_in in [("f8_3", C1, C4), ("f8_4", C2, C5), ("f9", C1 + C2, 3 + C1 + C2)]:
        made[name] = values(f"{salt}{name}", (outputs, fan_in, 1, 1)) * math.sqrt(3 / fan_in)
    return made


def resized(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def suppressed(foreground):
    """Only the largest class of each pixel keeps its value. [B, K, h, w] -> the same."""
    return foreground * (foreground == foreground.amax(dim=1, keepdim=True))


# The pixel correlation module (section 3.3).


def cam_norm(cam):
    """The map that the PCM refines: background, and the strongest class of each pixel. Without gradient.

    [B, K, h, w] -> [B, 1 + K, h, w]
    """
    cam = F.relu(cam.detach())
    share = F.relu(cam - EPS) / (cam.amax(dim=(2, 3), keepdim=True) + EPS)
    background = 1 - share.amax(dim=1, keepdim=True)
    return torch.cat([background, suppressed(share)], dim=1)


def embedding(image, conv4, conv5, weights, grid):
    """A vector for each pixel, divided by (its length + 1e-5). The taps pass no gradient on. -> [B, c1 + c2, N]"""
    low = F.relu(F.conv2d(resized(conv4.detach(), grid), weights["f8_3"]))  # [B, c1, h, w]
    high = F.relu(F.conv2d(resized(conv5.detach(), grid), weights["f8_4"]))  # [B, c2, h, w]
    joined = torch.cat([resized(image, grid), low, high], dim=1)  # [B, 3 + c1 + c2, h, w]
    f = F.conv2d(joined, weights["f9"]).flatten(2)
    return f / (f.norm(dim=1, keepdim=True) + EPS)


def affinity(f):
    """Cosines of all pairs of pixels, those below zero set to zero, each column divided by (its sum + 1e-5).

    [B, c1 + c2, N] -> [B, N, N]
    """
    cosine = F.relu(f.transpose(1, 2) @ f)
    return cosine / (cosine.sum(dim=1, keepdim=True) + EPS)


def refined(normalised, affinities):
    """Every pixel takes from the pixels like it. [B, 1 + K, h, w], [B, N, N] -> [B, 1 + K, h, w]"""
    return (normalised.flatten(2) @ affinities).view_as(normalised)


# The losses (sections 3.2 and 3.4).


def max_norm(p):
    """From 0 to about 1 in each image and class. [B, C, H, W] -> the same."""
    p = F.relu(p)
    low, high = p.amin(dim=(2, 3), keepdim=True), p.amax(dim=(2, 3), keepdim=True)
    return F.relu(p - low - EPS) / (high - low + EPS)


def er_loss(cam_o, cam_t):
    """Equivariant regularisation: normalised CAMs of both views at view t's size. [B, K, H, W] each"""
    return (cam_o - cam_t).abs().mean()


def ecr_direction(cam, rv):
    """One direction of the ECR loss: the CAM of one view teaches the refined map of the other.

    The hardest fifth of each image's entries counts. [B, K, H, W], [B, 1 + K, H, W]
    """
    cam = cam.detach()
    target = torch.cat([1 - cam.amax(dim=1, keepdim=True), suppressed(cam)], dim=1)  # [B, 1 + K, H, W]
    difference = (target - rv).abs().flatten(1)
    return difference.topk(int(difference.shape[1] * HARD), dim=1).values.mean()


def ecr_loss(cams, rvs):
    """Equivariant cross regularisation: both directions, at view t's size."""
    return ecr_direction(cams["t"], rvs["o"]) + ecr_direction(cams["o"], rvs["t"])


def bg_loss_of_view(rv, labels):
    """Adaptive min pooling: the quarter of the pixels that looks least like foreground should be none at all.

    It is in the released code only. Refined map at the view's own size [B, 1 + K, H, W], labels [B, K, 1, 1].
    """
    foreground = (rv[:, 1:] * labels).amax(dim=1).flatten(1)  # [B, H W]
    least = foreground.topk(foreground.shape[1] // 4, dim=1, largest=False).values
    return F.relu(least).mean()


def cls_loss(cam, labels):
    """Multilabel soft margin of the CAM's mean. [B, K, h, w], [B, K]"""
    return F.binary_cross_entropy_with_logits(cam.mean(dim=(2, 3)), labels)


def step(given):
    """Maps and losses of both views."""
    labels = given["labels"][:, :, None, None]  # [B, K, 1, 1]
    labels_and_background = F.pad(labels, (0, 0, 0, 0, 1, 0), value=1.0)  # [B, 1 + K, 1, 1]
    small = tuple(int(side * SCALE) for side in IMAGE)
    images = {"o": given["image_o"], "t": resized(given["image_o"], small)}
    maps, losses, cams, rvs, bg = {"image_t": images["t"]}, {}, {}, {}, []
    for view, grid in GRID.items():
        size, cam = images[view].shape[2:], given[f"cam_{view}"]
        normalised = cam_norm(cam)
        f = embedding(images[view], given[f"conv4_{view}"], given[f"conv5_{view}"], given, grid)
        refined_grid = refined(normalised, affinity(f))
        cam_image, rv_image = resized(cam, size), resized(refined_grid, size)
        cams[view] = resized(max_norm(cam_image), small) * labels
        rvs[view] = resized(max_norm(rv_image), small) * labels_and_background
        bg.append(bg_loss_of_view(rv_image, labels))
        losses[f"cls_{view}.image"] = cls_loss(cam_image, given["labels"])  # as released
        losses[f"cls_{view}.grid"] = cls_loss(cam, given["labels"])  # of the logits that this project's nets give
        maps[f"cam_norm_{view}"], maps[f"refined_{view}"] = normalised, refined_grid
        maps[f"loss_cam_{view}"], maps[f"loss_rv_{view}"] = cams[view], rvs[view]
    losses["er"] = er_loss(cams["o"], cams["t"])
    losses["ecr"] = ecr_loss(cams, rvs)
    losses["bg"] = sum(bg) / 2
    return maps, losses


def expected(given):
    """What is stored beside the inputs. A gradient that a loss does not have is stored as zeros."""
    given = {name: tensor.clone().requires_grad_(name in DIFFERENTIATED) for name, tensor in given.items()}
    maps, losses = step(given)
    tensors = {f"map.{name}": tensor.detach() for name, tensor in maps.items()}
    leaves = [given[name] for name in DIFFERENTIATED]
    for name, loss in losses.items():
        tensors[f"loss.{name}"] = loss.detach().reshape(1)
        gradients = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        tensors.update({f"grad.{name}.{leaf}": grad for leaf, grad in zip(DIFFERENTIATED, gradients)})
    return tensors


def disturbed(given, run):
    """The inputs, each value by some roundings larger or smaller; labels as they are."""
    noise = {name: values(f"disturbance{run}.{name}", tuple(x.shape)) for name, x in given.items() if name != "labels"}
    return {name: x * (1 + DISTURBANCE * noise[name]) if name in noise else x for name, x in given.items()}


def check(tensors, given, salt):
    """Ends the script if results in f64, or from slightly other inputs, are not those in f32."""
    others = [expected({name: x.double() for name, x in given.items()})]
    others += [expected(disturbed(given, run)) for run in range(DISTURBED)]
    worst, where = 0.0, ""
    for name, tensor in tensors.items():
        distance = max((tensor - other[name]).abs().max().item() for other in others)
        magnitude = max(tensor.abs().max().item(), 1e-30)
        worst, where = max((worst, where), (distance / magnitude, name))
    print(f"largest rounding: {worst:.1e} of the largest magnitude, in {where}")
    if worst > APART:
        raise SystemExit(f"salt '{salt}': '{where}' depends on a value next to a tie; take another salt")


def main():
    torch.set_num_threads(1)  # the order of sums, so that every run writes the same bytes
    asked = arguments(__doc__.splitlines()[0])
    given = inputs(asked.salt)
    tensors = expected(given)
    check(tensors, given, asked.salt)
    stored = {f"input.{name}": tensor for name, tensor in given.items()}
    write(asked.out / "seam.safetensors", {**stored, **tensors}, asked.salt)


if __name__ == "__main__":
    main()
