"""Image data sets: decoded once into uint8 tensors, split, cached, served on the device."""

from ir2search.data.dataset import DataConfig, ImageData, Split, load_data
from ir2search.data.loader import Augmentation, batches, evaluation_batches

__all__ = [
    "Augmentation",
    "DataConfig",
    "ImageData",
    "Split",
    "batches",
    "evaluation_batches",
    "load_data",
]
