"""A run's Optuna study."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage

from ir2search.errors import RunError

# attributes of the Optuna study
RUN = "run"  # binds a shared storage to the run's folder
DEFINITION = "definition"  # what the trials in a shared storage depend on
IMAGES = "data"  # a digest of the images
TRAIN_IMAGES, VALIDATION_IMAGES = "train_images", "validation_images"  # their numbers
MACHINE = "machine"  # the machine that latencies are measured on
PARALLEL = "parallel"  # number of candidates in training at the same time, at most
ENDED = "ended"  # why the run has ended; empty while it goes on


class RunStudy(optuna.Study):
    """An Optuna study that knows its storage, so that its running trials can be continued.

    Attributes:
        backend: the storage.
    """

    def __init__(self, name: str, backend: BaseStorage) -> None:
        super().__init__(study_name=name, storage=backend)
        self.backend = backend

    def check_images(self, fingerprint: str) -> None:
        """Check that the trials were trained on these images, by a digest of them.

        Raises:
            RunError: the trials were trained on other images.
        """
        if self.user_attrs.get(IMAGES, fingerprint) != fingerprint:
            raise RunError(
                f"{self.study_name}: was run on other images than the data folder holds now; give "
                "it the same data"
            )

    def live_trial(self, number: int) -> optuna.Trial:
        """A trial that was started earlier, by this process or by another one."""
        study_id = self.backend.get_study_id_from_name(self.study_name)
        trial_id = self.backend.get_trial_id_from_study_id_trial_number(study_id, number)
        return optuna.Trial(self, trial_id)
