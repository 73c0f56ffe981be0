from .estimate import Estimate as Estimate
from .estimate import estimate as estimate
from .observer import RunObserver as RunObserver
from .progress import RunProgress as RunProgress
from .samplers.base import Sampler as Sampler
from .samplers.registry import register_sampler as register_sampler
from .session import join as join
from .session import run as run
