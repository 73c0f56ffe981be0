from .clock import time_in_turns as time_in_turns
from .compare import Latency as Latency
from .compare import LatencyRow as LatencyRow
from .compare import LayerTime as LayerTime
from .compare import latency as latency
from .grid import on_grid as on_grid
from .timing import time_on_runtime as time_on_runtime
