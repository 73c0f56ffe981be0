from .observer import RunObserver as RunObserver
from .session import join as join
from .session import run as run
