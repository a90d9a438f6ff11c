"""The peer of train_step.rs: a training step of train-cam in eager PyTorch.

Reads `weights.safetensors` and `batch.safetensors`. `layout` is `contiguous` or `channels_last`; `grid` says where RCM
works: `image`, on features upsampled to the image's grid, as the original does, or `stride 8`, on the regions there.
"""

from peer import answer

THRESHOLD, TEMPERATURE = 0.2, 0.5


def prepare(task):
    import torch
    import torch.nn.functional as F
    from networks import cam_net
    from safetensors.torch import load_file

    torch.set_num_threads(task["threads"])
    layout = torch.channels_last if task["layout"] == "channels_last" else torch.contiguous_format
    batch = load_file(task["folder"] + "/batch.safetensors")
    images, labels = batch["images"].to(memory_format=layout), batch["labels"]
    valid = batch["valid"].bool()
    size, terms = images.shape[-2:], task["terms"]
    main, support = cam_net(task, layout), cam_net(task, layout)
    classes, features = main.classifier.weight.shape[:2]
    for name, parameter in main.named_parameters():
        parameter.requires_grad_(parameter.dim() == 4)
    trained = {name: p for name, p in main.named_parameters() if p.requires_grad}
    decay = task["weight_decay"]
    heads = [p for name, p in trained.items() if not name.startswith("backbone.")]
    backbone = [p for name, p in trained.items() if name.startswith("backbone.")]
    optimizer = torch.optim.SGD(
        [{"params": backbone}, {"params": heads, "lr": task["lr"] * task["head_lr"]}],
        lr=task["lr"], momentum=task["momentum"], weight_decay=decay, foreach=True,
    )
    followers = [p for p in support.parameters()]
    leaders = [p for p in main.parameters()]
    prototypes = torch.zeros(classes + 1, features)
    seen = torch.zeros(classes + 1, dtype=torch.bool)
    losses = []

    def upsample(x):
        return F.interpolate(x, size, mode="bilinear", align_corners=False)

    def scaled(scale):
        if scale == 1:
            return images
        sides = [round(side * scale) for side in size]
        return F.interpolate(images, sides, mode="bilinear", align_corners=True)

    def normalised(cam):
        cam = F.relu(cam) * labels[:, :, None, None]
        return cam / (cam.amax(dim=(2, 3), keepdim=True) + 1e-5)

    def regions_of(cams):
        """Eqs. 1 and 2 on the msinf-CAM."""
        score, best = normalised(sum(F.relu(cam) for cam in cams) / len(cams)).max(dim=1)
        return torch.where(score > THRESHOLD, best + 1, 0)

    def remember(feature, regions, inside):
        """Eq. 3: the mean inside a region, then over the images that have one; the latest of each class is kept."""
        masks = F.one_hot(regions, classes + 1).permute(0, 3, 1, 2) * inside[:, None]  # [B, K + 1, H, W]
        masks = masks.flatten(2).to(feature.dtype)
        pixels = masks.sum(2)
        means = torch.bmm(masks, feature.flatten(2).transpose(1, 2)) / pixels.clamp_min(1)[..., None]
        present = (pixels > 0).sum(0)
        found = present > 0
        prototypes[found] = (means.sum(0) / present.clamp_min(1)[:, None])[found]
        seen.logical_or_(found)

    def rcm_loss(feature, regions, inside):
        """Eqs. 4 and 5, with the logarithm, over the pixels that are image."""
        table = F.normalize(prototypes, dim=1)[:, :, None, None]
        similarity = F.conv2d(F.normalize(feature, dim=1), table) / TEMPERATURE
        similarity = similarity.masked_fill(~seen[None, :, None, None], float("-inf"))
        return F.cross_entropy(similarity, regions.masked_fill(~inside, -100))

    def rcm(feature, support_feature, support_cams):
        regions = regions_of(support_cams)
        if task["grid"] == "image":
            with torch.no_grad():
                remember(upsample(support_feature), regions, valid)
            return rcm_loss(upsample(feature), regions, valid)
        grid = feature.shape[-2:]
        inside = F.interpolate(valid[:, None].float(), grid)[:, 0].bool()
        regions = F.interpolate(regions[:, None].float(), grid)[:, 0].long()
        with torch.no_grad():
            remember(support_feature, regions, inside)
        return rcm_loss(feature, regions, inside)

    def mam_loss(main_cams, support_cams):
        """Eqs. 6 to 8, the mean over images, classes and pixels, summed over the scales of MainNet."""
        main_cams = [normalised(cam) for cam in main_cams]
        with torch.no_grad():
            support_cams = [normalised(cam) for cam in support_cams]
        total = 0.0
        for f in main_cams:
            with torch.no_grad():
                xi = [2 - F.cosine_similarity(f.flatten(2), g.flatten(2), dim=2) for g in support_cams]
                target = sum(x[:, :, None, None] * g for x, g in zip(xi, support_cams)) / len(support_cams)
            total = total + (f - target).abs().mean()
        return total

    def step():
        looked = {scale: scaled(scale) for scale in task["scales"] if scale == 1 or len(terms) > 1}
        support_cams = []
        if len(terms) > 1:
            with torch.no_grad():
                for scale, x in looked.items():
                    feature, cam, _ = support(x)
                    support_cams.append(upsample(cam))
                    if scale == 1:
                        support_feature = feature
        feature, cam, logits = main(looked[1.0])
        loss = {"cls": F.binary_cross_entropy_with_logits(logits, labels)}
        if "rcm" in terms:
            loss["rcm"] = rcm(feature, support_feature, support_cams)
        if "mam" in terms:
            cams = [cam if scale == 1 else main(x)[1] for scale, x in looked.items()]
            loss["mam"] = mam_loss([upsample(cam) for cam in cams], support_cams)
        optimizer.zero_grad(set_to_none=True)
        sum(loss.values()).backward()
        optimizer.step()
        if len(terms) > 1:
            with torch.no_grad():
                torch._foreach_lerp_(followers, leaders, 1 - task["alpha"])
        losses.append([value.item() for value in loss.values()])

    return step, lambda: losses


answer(prepare)
