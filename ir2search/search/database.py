"""Optuna's storage on a database, with its trials read a table at a time.

Optuna reads them through its object-relational mapper, at about a millisecond a trial. Here each
table is read once, and its rows are put together as Optuna itself does it.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Container, Iterable
from typing import Any

import sqlalchemy as sql
from optuna.distributions import BaseDistribution, json_to_distribution
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
        own = model.__table__
        session = self.scoped_session()
        try:
            columns = sql.select(*(own.c[name] for name in OWN))
            trials = session.execute(columns.where(wanted).order_by(own.c.trial_id)).all()
            parts: dict[str, dict[int, list[Any]]] = {}
            for name, part in PARTS.items():
                rows = sql.select(part.__table__).join(own).where(wanted)
                parts[name] = defaultdict(list)
                for row in session.execute(rows.order_by(*part.__table__.primary_key)):
                    parts[name][row.trial_id].append(row)
        finally:
            session.close()
        return [
            _frozen(trial, {name: rows[trial.trial_id] for name, rows in parts.items()})
            for trial in trials
        ]


def _frozen(trial: Any, parts: dict[str, list[Any]]) -> FrozenTrial:
    """As `RDBStorage._build_frozen_trial_from_trial_model`, from rows."""
    domains = {row.param_name: _distribution(row.distribution_json) for row in parts["params"]}
    values = models.TrialValueModel.stored_repr_to_value
    steps = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    told = {row.objective: values(row.value, row.value_type) for row in parts["values"]}
    return FrozenTrial(
        number=trial.number,
        state=trial.state,
        value=None,
        values=[told[place] for place in sorted(told)] or None,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params={
            row.param_name: domains[row.param_name].to_external_repr(row.param_value)
            for row in parts["params"]
        },
        distributions=domains,
        user_attrs={row.key: json.loads(row.value_json) for row in parts["user_attributes"]},
        system_attrs={row.key: json.loads(row.value_json) for row in parts["system_attributes"]},
        intermediate_values={
            row.step: steps(row.intermediate_value, row.intermediate_value_type)
            for row in parts["intermediate_values"]
        },
        trial_id=trial.trial_id,
    )


@functools.lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    """A distribution, which all trials of a study share; made anew, they take most of the time."""
    return json_to_distribution(text)
