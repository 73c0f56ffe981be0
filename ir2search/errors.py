"""All exceptions that ir2search raises on purpose.

::

    IR2SearchError
    ├── InputError            the user's input is wrong: the command line ends with exit code 2
    │   ├── CandidateError    a network that cannot be built
    │   ├── SpaceError        a search space without a candidate
    │   ├── StudyError        a study file, or a module that it names
    │   │   └── CountError        a network with an operation that cannot be counted
    │   ├── DataError         a data folder, a table or an image
    │   ├── RunError          a run's folder or one of its trials
    │   │   └── CheckpointError   a checkpoint that cannot be read
    │   ├── WeightsError      a file of weights, or weights of another network
    │   ├── MissingExtraError an optional package that is not installed
    │   └── MissingCompilerError  a part that must be compiled first, without a compiler
    └── TrainingDiverged      a loss that is not finite; the trial keeps the message
"""

# Parts of the messages of torch and its libraries, in lower case.
LACK_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "storage size calculation overflowed",
    "overflow when unpacking long",
    "alloc_failed",
    "bad_alloc",
)


class IR2SearchError(Exception):
    """Base of all errors of this package; the message is one sentence for the user."""


class InputError(IR2SearchError):
    """The user's input is wrong; the message names the input, the fault and the fix."""


class CandidateError(InputError):
    """A candidate whose values do not describe a network."""


class SpaceError(InputError):
    """A search space that is malformed, or has no candidate within the budget."""


class StudyError(InputError):
    """A study file, or a module that it names, that is missing, malformed or out of range."""


class CountError(StudyError):
    """A registered network that runs an operation whose cost cannot be counted."""


class DataError(InputError):
    """A data folder, table or image that is missing, empty or corrupt."""


class RunError(InputError):
    """A run's folder that is missing, in use, not a run, or without the requested trial."""


class CheckpointError(RunError):
    """A checkpoint that is missing, truncated or of another network."""


class WeightsError(InputError):
    """Weights that cannot be read, or that belong to another network."""


class MissingExtraError(InputError):
    """An optional package that is not installed."""


class MissingCompilerError(InputError):
    """A part of this package that is not compiled yet, and no compiler that works."""


class TrainingDiverged(IR2SearchError):
    """The training loss is not finite."""


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or of what a failed command wrote; never empty."""
    said = str(getattr(error, "stderr", None) or error).strip()
    return (said.splitlines() or [type(error).__name__])[0]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of Python or torch means that memory could not be allocated.

    On the CPU, torch raises a plain RuntimeError, so the message decides. For a size of more than
    64 bits it raises a TypeError.
    """
    if isinstance(error, MemoryError):
        return True
    message = str(error).lower() if isinstance(error, RuntimeError | TypeError) else ""
    return any(words in message for words in LACK_OF_MEMORY)
