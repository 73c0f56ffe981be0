"""How the threads of OpenMP wait for each other.

torch and the kernels compute on threads that wait for each other at barriers. By default a thread
that waits in GCC's OpenMP spins: it keeps its core busy. If another program uses the other cores,
the spinning threads wait for one that cannot run. A step on two threads then takes several times
longer than a step on one. On a quiet machine, sleeping instead of spinning costs little.

OpenMP reads its settings once, when torch is loaded.
"""

from __future__ import annotations

import os
import sys
import warnings

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # a user may have set one

_spins = False  # whether torch was loaded before this package could change its setting


def wait_passively() -> None:
    """Let waiting threads sleep, here and in processes that start from here.

    A setting that the user has made is kept. If torch is already loaded, only new processes use it.
    """
    global _spins
    if not any(name in os.environ for name in SETTINGS):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        _spins = "torch" in sys.modules


def warn_of_spinning() -> None:
    """Warn once if the threads of this process spin, and the user has not asked for that."""
    global _spins
    if _spins:
        _spins = False
        warnings.warn(
            "torch was imported before ir2search, so its threads keep their cores busy while they "
            "wait, and training is slow beside other programs; import ir2search first, or set "
            "OMP_WAIT_POLICY=PASSIVE before Python starts",
            stacklevel=2,
        )
