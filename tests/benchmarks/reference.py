"""The reference for the speed of training: IR²Net in the style of papers' code.

Surrogate gradients are compositions of masks and multiplications, the restriction mask is computed
for one sample at a time, everything is float32, and images are decoded and augmented one by one.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset


def binary_activation(x: Tensor) -> Tensor:
    """Sign with the polynomial surrogate gradient, from masks."""
    levels = torch.where(x < 0, -torch.ones_like(x), torch.ones_like(x))
    low, negative, below_one = (x < -1).float(), (x < 0).float(), (x < 1).float()
    soft = -1 * low + (x * x + 2 * x) * (negative - low)
    soft = soft + (-1 * x * x + 2 * x) * (below_one - negative) + (1 - below_one)
    return levels.detach() - soft.detach() + soft


class BinaryConvolution(nn.Conv2d):
    """Convolution with the signs of the weights, and the gradient of a clamp."""

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        levels = torch.where(w < 0, -torch.ones_like(w), torch.ones_like(w))
        clipped = torch.clamp(w, -1, 1)
        signs = levels.detach() - clipped.detach() + clipped
        return functional.conv2d(x, signs, None, self.stride, self.padding)


class Unit(nn.Module):
    """Convolution, BatchNorm, shortcut without parameters, Hardtanh."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.new = stride, outputs - inputs
        self.conv = BinaryConvolution(inputs, outputs, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn(self.conv(binary_activation(x)))
        if self.stride > 1:
            x = x[:, :, ::2, ::2]
        if self.new:
            x = functional.pad(x, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        return functional.hardtanh(out + x)


class Block(nn.Module):
    """Two convolutions with a shortcut around both."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = BinaryConvolution(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = BinaryConvolution(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = functional.hardtanh(self.bn1(self.conv1(binary_activation(x))))
        out = self.bn2(self.conv2(binary_activation(out)))
        return functional.hardtanh(out + self.shortcut(x))


class CompactFusion(nn.Module):
    """A 1x1 convolution to a few channels, and a grouped 3x3 one to the others."""

    def __init__(self, inputs: int, outputs: int, ratio: int) -> None:
        super().__init__()
        self.outputs = outputs
        m = -(-outputs // ratio)
        self.primary = nn.Sequential(
            nn.Conv2d(inputs, m, 1, bias=False), nn.BatchNorm2d(m), nn.Hardtanh()
        )
        rest = m * (ratio - 1)
        self.cheap = nn.Sequential(
            nn.Conv2d(m, rest, 3, 1, 1, groups=m, bias=False), nn.BatchNorm2d(rest), nn.Hardtanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary(x)
        return torch.cat([first, self.cheap(first)], dim=1)[:, : self.outputs]


class ReferenceResNet(nn.Module):
    """ResNets for CIFAR of depth 6 n + 2, and ResNet-18, with all taps.

    Args:
        widths: channels of each stage; the stem has those of the first stage.
        counts: number of blocks in each stage.
        block: `Unit` or `Block`.
        ratio: s of the compact fusion.
        colours: channels of the images.
        classes: number of classes.
    """

    def __init__(
        self,
        widths: Sequence[int],
        counts: Sequence[int],
        block: type[Unit] | type[Block],
        ratio: int,
        colours: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(colours, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0])
        )
        self.stages, inputs = nn.ModuleList(), widths[0]
        for stage, (outputs, count) in enumerate(zip(widths, counts, strict=True)):
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, outputs, 2 if stage and not index else 1))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.fusion = CompactFusion(widths[0] + sum(widths), widths[-1], ratio)
        self.bn = nn.BatchNorm1d(widths[-1])
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the last maps before fusion."""
        x = functional.hardtanh(self.stem(x))
        maps = [x]
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        pooled = [functional.adaptive_avg_pool2d(tap, x.shape[2:]) for tap in maps[:-1]]
        fused = self.fusion(torch.cat([*pooled, x], dim=1))
        return self.linear(self.bn(fused.mean(dim=(2, 3)))), x


def restricted(images: Tensor, features: Tensor, threshold: float) -> Tensor:
    """The images with the pixels of low attention set to 0, one image at a time."""
    result = torch.zeros_like(images)
    attention = features.detach().pow(2).mean(1)
    for i in range(len(images)):
        a = attention[i] / attention[i].norm()
        a = functional.interpolate(
            a[None, None], size=images.shape[2:], mode="bilinear", align_corners=True
        )[0, 0]
        mask = (a > threshold * a.mean()).float()
        result[i] = images[i] * mask
    return result


def reference_step(
    network: ReferenceResNet,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    threshold: float,
) -> float:
    """Make one training step on normalised images, and return the loss."""
    logits, features = network(images)
    loss = functional.cross_entropy(logits, labels)
    if threshold:
        again, _ = network(restricted(images, features, threshold))
        loss = (loss + functional.cross_entropy(again, labels)) / 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


class DecodedOneByOne(Dataset[tuple[Tensor, int]]):
    """Decodes, pads, crops, mirrors and normalises one image at a time."""

    def __init__(
        self,
        encoded: Sequence[bytes],
        labels: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        self.encoded, self.labels = encoded, labels
        self.mean = torch.tensor(mean).view(-1, 1, 1)
        self.std = torch.tensor(std).view(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.open(io.BytesIO(self.encoded[index])).convert("RGB")
        padded = ImageOps.expand(image, border=4, fill=0)
        left, top = random.randint(0, 8), random.randint(0, 8)
        image = padded.crop((left, top, left + image.width, top + image.height))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std, self.labels[index]
