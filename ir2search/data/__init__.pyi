from .config import DataConfig as DataConfig
from .dataset import ImageData as ImageData
from .dataset import load_data as load_data
from .loader import Augmentation as Augmentation
from .loader import Split as Split
from .sources import LabelledImages as LabelledImages
from .sources import register_dataset as register_dataset
from .stream import StreamedSplit as StreamedSplit
