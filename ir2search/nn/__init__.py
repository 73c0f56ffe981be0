"""The method's building blocks: binary layers, information restriction, information recovery."""

from ir2search.nn.binary import BinaryConv2d, polynomial_sign, sign, straight_through_sign
from ir2search.nn.recovery import InformationRecovery, fusion_channels
from ir2search.nn.restriction import attention_map, restrict

__all__ = [
    "BinaryConv2d",
    "InformationRecovery",
    "attention_map",
    "fusion_channels",
    "polynomial_sign",
    "restrict",
    "sign",
    "straight_through_sign",
]
