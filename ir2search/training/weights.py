"""Read weights that other programs wrote."""

from __future__ import annotations

import logging
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ir2search.errors import WeightsError, is_out_of_memory
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate, build
from ir2search.training.latent_weights import with_latent_weights
from ir2search.training.weights_file import SAVE, damaged, kind_of, not_only_tensors

LISTED = 8  # names in an error message
# keys under which checkpoints have the weights, the usual ones first
KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
DEEPEST = 3  # dictionaries in each other
COUNTER = "num_batches_tracked"  # of a BatchNorm; not used in evaluation, and often left out
# parts that torch's wrappers add to names
WRAPPERS = re.compile(r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)")

_logger = logging.getLogger(__name__)


def load_weights(candidate: Candidate, file: Path) -> TappedNetwork:
    """Build the candidate's network with weights of another program, see `read_weights`.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        WeightsError: the file cannot be read, or has another network's weights.
    """
    network = build(candidate)
    put_weights(network, read_weights(file), str(file), "the candidate")
    return network.eval()


def starting_weights(candidate: Candidate, file: Path) -> dict[str, Tensor]:
    """Read the weights with which a training of the candidate's network can start.

    Tensors of another shape are left out, such as those of a head for other classes. A warning
    names the tensors of the network that start at random.

    Raises:
        WeightsError: the file cannot be read, no weight fits, or one is not finite.
    """
    network = build(candidate)
    own = network.state_dict()
    given = _without_prefix(read_weights(file), own)
    fitting = {n: each for n, each in given.items() if n in own and own[n].shape == each.shape}
    if not any(own[name].ndim > 1 for name in fitting):
        raise WeightsError(f"{file}: no weight has the name and shape of one of the network")
    check_values(fitting, network, str(file))
    left = [name for name in own if name not in fitting and not name.endswith(COUNTER)]
    if left:
        _logger.warning("%s: does not have, so these start at random: %s", file, _listed(left))
    return fitting


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read tensors by name from a ``.safetensors`` file or a torch checkpoint.

    A checkpoint is read without unpickling arbitrary objects. Its tensors may be under a key such
    as ``state_dict``.

    Raises:
        WeightsError: the file is missing or damaged, is no file of weights, or has more than
            tensors and plain values.
    """
    try:
        if kind_of(file) == "safetensors":
            return _read_safetensors(file)
        with file.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of storages that it will drop
            found = torch.load(stream, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file") from None
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read: {error.strerror or error}") from None
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:  # torch's own message advises to load the code
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise not_only_tensors(file, name and name[1]) from None
    except Exception as error:  # torch.load raises errors of many types for damaged files
        if is_out_of_memory(error):
            raise WeightsError(f"{file}: its tensors do not fit in memory") from None
        raise damaged(file) from None
    return unwrapped(found, str(file))


def unwrapped(found: Any, source: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without the dictionaries around them.

    Args:
        found: tensors by name, or a mapping that has them under a key such as ``"state_dict"``.
        source: name of the weights, for the error.

    Raises:
        WeightsError: there are no such tensors, or a tensor is not a plain one.
    """
    weights = _state_dict(found, DEEPEST)
    if weights is None:
        raise WeightsError(f"{source}: has no state_dict, a mapping from names to tensors; {SAVE}")
    for name, tensor in weights.items():
        plain = tensor.layout is torch.strided and not (tensor.is_quantized or tensor.is_nested)
        if not plain or tensor.device.type != "cpu":
            raise WeightsError(f"{source}: {name} must be a plain tensor; {SAVE}")
    return {_without_wrappers(str(name)): tensor for name, tensor in weights.items()}


def matched(
    weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], source: str
) -> dict[str, Tensor]:
    """The given tensors, under the names that they have in the network.

    A prefix that all given names have is removed if the network does not have it. The counters of
    BatchNorms may be missing.

    Args:
        weights: the given tensors by name.
        shapes: shapes of the network's tensors by name.
        source: the first words of the error.

    Raises:
        WeightsError: tensors are missing, unknown or have another shape; the message lists them.
    """
    given = _without_prefix(weights, shapes)
    missing = [name for name in shapes if name not in given and not name.endswith(COUNTER)]
    wrong = [
        f"{name} {tuple(tensor.shape)} for {shapes[name]}"
        for name, tensor in given.items()
        if name in shapes and tuple(tensor.shape) != shapes[name]
    ]
    unknown = [name for name in given if name not in shapes]
    faults = {"missing": missing, "unknown": unknown, "of another shape": wrong}
    if any(faults.values()):
        listed = "; ".join(f"{what}: {_listed(names)}" for what, names in faults.items() if names)
        raise WeightsError(f"{source}: {listed}")
    return given


def put_weights(
    network: nn.Module, weights: Mapping[str, Tensor], source: str, called: str
) -> None:
    """Load weights into a network; their names may have a prefix, see `matched`.

    Errors call the weights ``source`` and the network ``called``.

    Raises:
        WeightsError: the weights are those of another network, or are not finite.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = matched(weights, shapes, f"{source}: not the weights of {called}")
    check_values(found, network, source)
    network.load_state_dict(found, strict=False)


def check_values(weights: Mapping[str, Tensor], network: nn.Module, source: str) -> None:
    """Check that weights are finite real numbers, and that no variance is negative.

    Only tensors that the network has are checked. Errors call the weights ``source``.

    Raises:
        WeightsError: a tensor breaks a rule.
    """
    for name, own in network.state_dict().items():
        given = weights.get(name)
        if given is None or not own.is_floating_point():
            continue
        if not given.is_floating_point():
            raise WeightsError(f"{source}: {name} must have real numbers, but has {given.dtype}")
        if not given.isfinite().all():
            raise WeightsError(
                f"{source}: {name} has values that are NaN or infinite; give other weights"
            )
        if name.endswith("running_var") and (given < 0).any():
            raise WeightsError(f"{source}: {name} has negative variances; give other weights")


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, "pt") as stored:
            if "graph" in (stored.metadata() or {}):
                raise WeightsError(
                    f"{file}: is a packed network, whose weights have 1 bit; give the weights it "
                    "was exported from"
                )
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError:
        raise damaged(file) from None
    return with_latent_weights(unwrapped(tensors, str(file)))


def _state_dict(found: Any, depth: int) -> Mapping[Any, Tensor] | None:
    """The first mapping that has tensors only: this one, or one under a key of it.

    Under a key that is not usual, such as ``"model_ema"``, it must be the only one.
    """
    if not isinstance(found, Mapping) or not depth:
        return None
    if _has_tensors_only(found):
        return found
    usual = (_state_dict(found[key], depth - 1) for key in KEYS if key in found)
    for inner in usual:
        if inner is not None:
            return inner
    others = [value for value in found.values() if _has_tensors_only(value)]
    return others[0] if len(others) == 1 else None


def _has_tensors_only(found: Any) -> bool:
    is_full = isinstance(found, Mapping) and bool(found)
    return is_full and all(isinstance(value, Tensor) for value in found.values())


def _without_wrappers(name: str) -> str:
    return WRAPPERS.sub("", name).removeprefix(".")


def _without_prefix(
    weights: Mapping[str, Tensor], known: Mapping[str, object]
) -> dict[str, Tensor]:
    """Names without the first parts that all have, such as ``module.``, until one is known."""
    names = dict(weights)
    while names and not names.keys() & known.keys():
        parts = [name.partition(".") for name in names]
        first = parts[0][0]
        if not all(part == first and rest for part, _, rest in parts):
            return dict(weights)
        names = {rest: names[f"{first}.{rest}"] for _, _, rest in parts}
    return names


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
