"""Every exception that ir2search raises on purpose.

::

    IR2SearchError
    ├── InputError            something given is wrong: the command line ends with exit code 2
    │   ├── CandidateError    a network that cannot be built
    │   ├── SpaceError        a search space with nothing in it
    │   ├── StudyError        a study file
    │   ├── DataError         a data folder, a table or an image
    │   ├── RunError          a run's folder or one of its trials
    │   │   └── CheckpointError   a checkpoint that cannot be read
    │   ├── WeightsError      a file of weights, or weights of another network
    │   └── MissingExtraError an optional package that is not installed
    └── TrainingDiverged      a loss that is not finite: recorded as the trial's reason
"""


class IR2SearchError(Exception):
    """Base of all errors of this package; its text is one sentence for a person."""


class InputError(IR2SearchError):
    """Something that was given is wrong; the text names it, the fault and the fix."""


class CandidateError(InputError):
    """A candidate whose values name no network."""


class SpaceError(InputError):
    """A search space that is malformed or holds no candidate within the budget."""


class StudyError(InputError):
    """A study file that is missing, malformed or out of range."""


class DataError(InputError):
    """A data folder, table or image that is missing, empty or corrupt."""


class RunError(InputError):
    """A run's folder that is missing, foreign, busy, or lacks the trial asked for."""


class CheckpointError(RunError):
    """A training's checkpoint that is missing, cut short or of another network."""


class WeightsError(InputError):
    """Weights that cannot be read or are not those of the network asked for."""


class MissingExtraError(InputError):
    """An optional package that is not installed."""


class TrainingDiverged(IR2SearchError):
    """Training met a loss that is not finite."""
