"""The layers of the method: binary convolution, information restriction and recovery."""

from ir2search.kernels.training import keep_memory
from ir2search.nn.activation import ShiftedPReLU, make_activation
from ir2search.nn.binary import Binarisation, BinaryConv2d, sharpen
from ir2search.nn.estimators import (
    polynomial_sign,
    sign,
    standardised,
    straight_through_sign,
    tanh_sharpness,
    tanh_sign,
)
from ir2search.nn.fused import Normed, normed
from ir2search.nn.recovery import InformationRecovery
from ir2search.nn.restriction import attention_map, restrict

__all__ = [
    "Binarisation",
    "BinaryConv2d",
    "InformationRecovery",
    "Normed",
    "ShiftedPReLU",
    "attention_map",
    "keep_memory",
    "make_activation",
    "normed",
    "polynomial_sign",
    "restrict",
    "sharpen",
    "sign",
    "standardised",
    "straight_through_sign",
    "tanh_sharpness",
    "tanh_sign",
]
