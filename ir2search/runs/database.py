"""Optuna's storage on a database, with its trials read a table at a time.

Optuna reads them through its object-relational mapper, at about a millisecond a trial. Here each
table is read once, and its rows are put together as Optuna itself does it.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

OWN = ("trial_id", "number", "state", "datetime_start", "datetime_complete")
PARTS: dict[str, tuple[Any, tuple[str, ...]]] = {  # of a trial: their table, and what it says
    "params": (models.TrialParamModel, ("param_name", "param_value", "distribution_json")),
    "values": (models.TrialValueModel, ("objective", "value", "value_type")),
    "user": (models.TrialUserAttributeModel, ("key", "value_json")),
    "system": (models.TrialSystemAttributeModel, ("key", "value_json")),
    "intermediate": (
        models.TrialIntermediateValueModel,
        ("step", "intermediate_value", "intermediate_value_type"),
    ),
}


@dataclass(frozen=True)
class Outline:
    """A trial as far as one has to know it to count it.

    Attributes:
        trial_id: the storage's.
        state: Optuna's.
        values: what was told.
        attributes: names of its user attributes, of those that were looked for.
    """

    trial_id: int
    state: TrialState
    values: list[float]
    attributes: set[str]


class Database(RDBStorage):
    """As Optuna's, faster at reading many trials."""

    def outlines(self, study_id: int, names: Collection[str]) -> list[Outline]:
        """All trials in outline, in a fifth of the time that reading them takes.

        Args:
            study_id: whose.
            names: of the user attributes that are looked for.
        """
        own = models.TrialModel.__table__
        values, attributes = (
            models.TrialValueModel.__table__,
            models.TrialUserAttributeModel.__table__,
        )
        value_of = models.TrialValueModel.stored_repr_to_value
        wanted = own.c.study_id == study_id
        trials = sql.select(own.c.trial_id, own.c.state).where(wanted).order_by(own.c.trial_id)
        told = sql.select(values.c.trial_id, values.c.value, values.c.value_type).join(own)
        told = told.where(wanted).order_by(values.c.objective)
        given = sql.select(attributes.c.trial_id, attributes.c.key).join(own)
        given = given.where(wanted & attributes.c.key.in_(names))
        told_by: defaultdict[int, list[float]] = defaultdict(list)
        given_to: defaultdict[int, set[str]] = defaultdict(set)
        with self.engine.connect() as connection:
            # states first: what is written meanwhile then says more than they do, never less
            states = connection.execute(trials).all()
            for trial_id, *stored in connection.execute(told):
                told_by[trial_id].append(value_of(*stored))
            for trial_id, name in connection.execute(given):
                given_to[trial_id].add(name)
        return [
            Outline(trial_id, state, told_by[trial_id], given_to[trial_id])
            for trial_id, state in states
        ]

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
            for name, (part, said) in PARTS.items():
                table = part.__table__
                rows = sql.select(table.c.trial_id, *(table.c[each] for each in said))
                rows = rows.join(own).where(wanted).order_by(*table.primary_key)
                parts[name] = defaultdict(list)
                for trial_id, *row in session.execute(rows):
                    parts[name][trial_id].append(row)
        finally:
            session.close()
        return [
            _frozen(trial, {name: rows[trial.trial_id] for name, rows in parts.items()})
            for trial in trials
        ]


def _frozen(trial: Any, parts: dict[str, list[Any]]) -> FrozenTrial:
    """As `RDBStorage._build_frozen_trial_from_trial_model`, from rows."""
    value_of = models.TrialValueModel.stored_repr_to_value
    step_of = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    domains = {name: _distribution(text) for name, _, text in parts["params"]}
    told = {objective: value_of(value, kind) for objective, value, kind in parts["values"]}
    return FrozenTrial(
        number=trial.number,
        state=trial.state,
        value=None,
        values=[told[place] for place in sorted(told)] or None,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params={name: domains[name].to_external_repr(value) for name, value, _ in parts["params"]},
        distributions=domains,
        user_attrs={key: json.loads(text) for key, text in parts["user"]},
        system_attrs={key: json.loads(text) for key, text in parts["system"]},
        intermediate_values={
            step: step_of(value, kind) for step, value, kind in parts["intermediate"]
        },
        trial_id=trial.trial_id,
    )


@functools.lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    """A distribution, which all trials of a study share; made anew, they take most of the time."""
    return json_to_distribution(text)
