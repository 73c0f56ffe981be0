"""A storage that one driver alone writes: read from memory, kept in another one.

Optuna reads every unfinished trial again at each proposal. With rungs most trials are unfinished,
and at thousands of them a proposal would take seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState


class Mirror(InMemoryStorage):
    """One study of a storage. What is written goes there first, and then to memory.

    Args:
        kept: the storage; nobody else may write the study meanwhile.
        name: of the study.
    """

    def __init__(self, kept: BaseStorage, name: str) -> None:
        super().__init__()
        self._kept = kept
        self._kept_study = kept.get_study_id_from_name(name)
        study = super().create_new_study(kept.get_study_directions(self._kept_study), name)
        for key, value in kept.get_study_user_attrs(self._kept_study).items():
            super().set_study_user_attr(study, key, value)
        for key, value in kept.get_study_system_attrs(self._kept_study).items():
            super().set_study_system_attr(study, key, value)
        self._kept_trials: dict[int, int] = {}  # ids there, by those here
        for trial in kept.get_all_trials(self._kept_study, deepcopy=False):
            self._kept_trials[self._shown(study, trial)] = trial._trial_id

    def _shown(self, study_id: int, kept: FrozenTrial) -> int:
        """Show a trial that is kept already, and give its id here.

        Optuna copies a trial that it is given to its last part, which takes longer than reading
        it. Here the parts are shared, for both storages put others in their place to change them.
        """
        trial = copy.copy(kept)
        trial._trial_id = super().create_new_trial(study_id)
        self._set_trial(trial._trial_id, trial)
        self._update_cache(trial._trial_id, study_id)
        return trial._trial_id

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._kept.set_study_user_attr(self._kept_study, key, value)
        super().set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._kept.set_study_system_attr(self._kept_study, key, value)
        super().set_study_system_attr(study_id, key, value)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        kept = self._kept.create_new_trial(self._kept_study, template_trial)
        trial_id = super().create_new_trial(study_id, template_trial)
        self._kept_trials[trial_id] = kept
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        kept = self._kept_trials[trial_id]
        self._kept.set_trial_param(kept, param_name, param_value_internal, distribution)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        self._kept.set_trial_state_values(self._kept_trials[trial_id], state, values)
        return super().set_trial_state_values(trial_id, state, values)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._kept.set_trial_user_attr(self._kept_trials[trial_id], key, value)
        super().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._kept.set_trial_system_attr(self._kept_trials[trial_id], key, value)
        super().set_trial_system_attr(trial_id, key, value)
