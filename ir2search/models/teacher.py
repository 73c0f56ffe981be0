"""Standard full-precision ResNets, as teachers.

Parameters have the names of torchvision and timm, so that their published weights load directly.

Source: He et al., "Deep Residual Learning", CVPR 2016, table 1.
"""

from __future__ import annotations

from torch import Tensor, nn

from ir2search.models.families import STAGE_BLOCKS


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = self.bn1(self.conv1(x)).relu()
        result: Tensor = (self.bn2(self.conv2(inner)) + shortcut).relu()
        return result


class StandardResNet(nn.Module):
    """ResNet-18 or ResNet-34 in full precision."""

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for stage, blocks in enumerate(STAGE_BLOCKS[depth]):
            outputs, stride = 64 * 2**stage, 2 if stage else 1
            layer = [_Block(channels, outputs, stride)]
            layer += [_Block(outputs, outputs, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layer))
            channels = outputs
        self.fc = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of ``images`` (N, 3, H, W), normalised."""
        x = self.maxpool(self.bn1(self.conv1(images)).relu())
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits
