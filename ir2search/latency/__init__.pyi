from .compare import Latency as Latency
from .compare import LayerTime as LayerTime
from .compare import Measured as Measured
from .compare import latency as latency
