"""Where a point stands in Optuna, found without going through all trials of its study.

Optuna numbers the trials of a study one after the other and takes none away, and what it has told of one that has ended
never changes. So all are read once; from then on a look asks for the number after the last that is known, and a point's
state is that of its own trials.
"""

from collections.abc import Iterator
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

KEY = "key"
STATE = "state"  # written with every record that is told, so a trial that failed without it was let go

Fate = Literal["open", "told", "let go"]


class Entries:
    """The trials of an Optuna study by the key of their point; those of others, who set no key, are left out.

    To be used under the lock of whoever changes the study.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study, self._storage, self._study_id = study, study._storage, study._study_id
        self._ids: dict[str, list[int]] = {}
        self._seen = 0

    def last(self, key: str) -> FrozenTrial | None:
        """The last trial of the point that was begun or told; not one that was let go."""
        begun = (one for one in self._newest_first(key) if one.state != TrialState.WAITING and fate(one) != "let go")
        return next(begun, None)

    def waits(self, key: str) -> bool:
        """Whether a trial of the point was put in and not asked for."""
        return any(one.state == TrialState.WAITING for one in self._newest_first(key))

    def newest(self, key: str) -> FrozenTrial | None:
        """The last trial of the point, whatever became of it."""
        return next(self._newest_first(key), None)

    def fates(self) -> dict[str, Fate]:
        """What became of the last trial of every point."""
        self._look()
        return {key: fate(self._storage.get_trial(ids[-1])) for key, ids in self._ids.items()}

    def add(self, trial: FrozenTrial) -> None:
        """Take in a trial that this process has begun itself."""
        if trial.number == self._seen:
            self._enter(trial)

    def _newest_first(self, key: str) -> Iterator[FrozenTrial]:
        self._look()
        return (self._storage.get_trial(one) for one in reversed(self._ids.get(key, [])))

    def _look(self) -> None:
        """Take in the trials that came since the last look."""
        if self._has(self._seen):
            for trial in self._study.get_trials(deepcopy=False)[self._seen :]:
                self._enter(trial)

    def _has(self, number: int) -> bool:
        try:
            self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        except KeyError:
            return False
        return True

    def _enter(self, trial: FrozenTrial) -> None:
        self._seen = trial.number + 1
        if KEY in trial.user_attrs:
            self._ids.setdefault(trial.user_attrs[KEY], []).append(trial._trial_id)


def fate(trial: FrozenTrial) -> Fate:
    """What became of a trial."""
    if not trial.state.is_finished():
        return "open"
    return "let go" if trial.state == TrialState.FAIL and STATE not in trial.user_attrs else "told"
