"""Image data sets: split, cached, served in batches from the device or streamed from disk."""

from ir2search.data.dataset import DataConfig, ImageData, load_data
from ir2search.data.loader import Augmentation, Split
from ir2search.data.stream import StreamedSplit

__all__ = ["Augmentation", "DataConfig", "ImageData", "Split", "StreamedSplit", "load_data"]
