from .calibration import calibrated_subnet as calibrated_subnet
from .calibration import calibration_batches as calibration_batches
from .files import load_supernet as load_supernet
from .supernet import Supernet as Supernet
from .train import SupernetSettings as SupernetSettings
from .train import train_supernet as train_supernet
