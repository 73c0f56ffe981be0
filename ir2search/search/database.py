"""Optuna's storage on a database, with its trials read a table at a time.

Optuna reads them through its object-relational mapper, at about a millisecond a trial. Here each
table is read once, and its rows are put together as Optuna itself does it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sql
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

OWN = ("trial_id", "number", "state", "datetime_start", "datetime_complete")
PARTS: dict[str, Any] = {  # of a trial, by the names that Optuna's model has for them
    "params": models.TrialParamModel,
    "values": models.TrialValueModel,
    "user_attributes": models.TrialUserAttributeModel,
    "system_attributes": models.TrialSystemAttributeModel,
    "intermediate_values": models.TrialIntermediateValueModel,
}


class Database(RDBStorage):
    """As Optuna's, faster at reading many trials."""

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        model: Any = models.TrialModel
        wanted = model.study_id == study_id
        if trial_id_greater_than > -1:
            asked = model.trial_id.in_(sorted(included_trial_ids))
            wanted &= asked | (model.trial_id > trial_id_greater_than)
        if states is not None:
            assert isinstance(states, Iterable)
            wanted &= model.state.in_(states)
        session = self.scoped_session()
        try:
            found = session.scalars(sql.select(model).where(wanted).order_by(model.trial_id))
            trials = [
                SimpleNamespace(**{name: getattr(row, name) for name in OWN}) for row in found
            ]
            for name, part in PARTS.items():
                table = part.__table__
                rows = sql.select(table).join(model.__table__).where(wanted)
                by_trial = defaultdict(list)
                for row in session.execute(rows.order_by(*table.primary_key)):
                    by_trial[row.trial_id].append(row)
                for trial in trials:
                    setattr(trial, name, by_trial[trial.trial_id])
        finally:
            session.close()
        build: Any = self._build_frozen_trial_from_trial_model  # which asks for no more than this
        return [build(trial) for trial in trials]
