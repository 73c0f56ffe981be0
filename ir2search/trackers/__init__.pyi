from .base import Tracker as Tracker
from .mlflow import MLflow as MLflow
from .names import named_tracker as named_tracker
from .tensorboard import TensorBoard as TensorBoard
from .wandb import WandB as WandB
