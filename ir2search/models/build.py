"""Families of networks by name."""

from __future__ import annotations

from collections.abc import Callable

from ir2search.models.network import Plan, TappedNetwork
from ir2search.models.resnet import cifar_basic_resnet, cifar_resnet, imagenet_resnet
from ir2search.models.vgg import cifar_vgg

BUILDERS: dict[str, Callable[[Plan], TappedNetwork]] = {
    "cifar-resnet": cifar_resnet,
    "cifar-basic-resnet": cifar_basic_resnet,
    "cifar-vgg": cifar_vgg,
    "imagenet-resnet": imagenet_resnet,
}
