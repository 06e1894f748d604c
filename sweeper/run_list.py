"""Which runs MLflow has already, found by what they are of; a new one costs no search through all that there are.

MLflow finds a run by a tag in time that grows with the runs there are, and a large study would ask it twice for each of
its trials. So the runs of a study are listed once. Whoever makes a run from this folder holds a lock meanwhile, and
counts the run in the lock's file beforehand: as long as that count is where our own runs have brought it, nobody else
has made one since, and what the list lacks does not exist. Where the count has moved, or where a server takes runs from
other machines, MLflow is asked as if there was no list.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ID, PARENT, DELIVERED, EPOCHS = "sweeper.id", "mlflow.parentRunId", "sweeper.delivered", "sweeper.epochs"
A_PAGE = 1000  # runs
LONGEST = 20  # digits of the count


@dataclass(frozen=True)
class Listed:
    """A run that is there.

    Attributes:
        delivered: a digest of what was sent when the run ended; None where nothing is known of its end.
        epochs: of the curve that was sent by then.
    """

    id: str
    start: int
    status: str
    delivered: str | None = None
    epochs: int = 0

    @property
    def is_done(self) -> bool:
        """Whether everything that there was to tell of the run has been told."""
        return self.status == "FINISHED" and self.delivered is not None and self.epochs > 0


class Turn:
    """One's turn between the processes of this machine.

    Args:
        handle: of the locked file; None where there is none.
    """

    def __init__(self, handle: int | None = None) -> None:
        self._handle = handle

    @property
    def made(self) -> int | None:
        """Runs made in all turns so far; None where nobody counts."""
        if self._handle is None:
            return None
        text = os.pread(self._handle, LONGEST, 0).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else 0

    def count(self) -> None:
        """One more is about to be made."""
        if self._handle is not None:
            os.pwrite(self._handle, f"{(self.made or 0) + 1:<{LONGEST}}".encode(), 0)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[Turn]:
    """Between processes of one machine; where the folder cannot be locked the block runs all the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield Turn()
        return
    try:
        yield Turn(handle) if _is_locked(handle) else Turn()
    finally:
        os.close(handle)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


class RunList:
    """The runs of one experiment.

    Args:
        client: an `MlflowClient`.
        is_shared: whether others than those who take turns in this folder make runs of it.
    """

    def __init__(self, client: Any, experiment_id: str, *, is_shared: bool) -> None:
        self._client, self._experiment_id, self._is_shared = client, experiment_id, is_shared
        self._runs: dict[str, dict[str, Listed]] = {}  # by the study's run
        self._made: dict[str, int] = {}  # likewise, the count up to which they are all

    def find(self, identity: Mapping[str, str], turn: Turn) -> Listed | None:
        """The run of this identity.

        What is listed of a run's end is told once: whoever asks may change it.
        """
        study, made = identity.get(PARENT), turn.made
        if self._is_shared or study is None or made is None:
            return self._search(identity[ID])
        if study not in self._runs:
            self._runs[study], self._made[study] = self._list(study), made
        if (found := self._runs[study].get(identity[ID])) is not None:
            self._runs[study][identity[ID]] = Listed(found.id, found.start, "")
            return found
        return None if self._made[study] == made else self._search(identity[ID])

    def create(
        self, identity: Mapping[str, str], name: str, tags: Mapping[str, str], turn: Turn
    ) -> tuple[Listed, bool]:
        """A new run; where another machine made the same one meanwhile, all settle on the oldest.

        Returns:
            The run, and whether it is the new one.
        """
        before = turn.made
        turn.count()
        made = _listed(self._client.create_run(self._experiment_id, tags={**tags, **identity}, run_name=name))
        if self._is_shared and (first := self._search(identity[ID])) is not None and first.id != made.id:
            self._client.delete_run(made.id)
            return first, False
        self._made = {study: count + (count == before) for study, count in self._made.items()}
        self._runs.get(identity.get(PARENT, ""), {})[identity[ID]] = made
        return made, True

    def _list(self, study: str) -> dict[str, Listed]:
        """All runs of a study that are not in MLflow's bin; of two that are of the same, the older."""
        found, page = list[Any](), None
        while page is None or page.token:
            page = self._client.search_runs(
                [self._experiment_id],
                f"tags.`{PARENT}` = '{study}'",
                max_results=A_PAGE,
                page_token=page and page.token,
            )
            found += [(stored.data.tags.get(ID), _listed(stored)) for stored in page]
        return {key: one for key, one in sorted(found, key=lambda pair: _age(pair[1]), reverse=True) if key is not None}

    def _search(self, key: str) -> Listed | None:
        """The oldest run of that identity. Looked up by a hash, so that no name can break the query."""
        found = self._client.search_runs([self._experiment_id], f"tags.`{ID}` = '{key}'")
        return min(map(_listed, found), key=_age, default=None)


def _age(run: Listed) -> tuple[int, str]:
    return run.start, run.id


def _listed(stored: Any) -> Listed:
    """What is kept of MLflow's own entity."""
    tags, info = stored.data.tags, stored.info
    return Listed(info.run_id, info.start_time, info.status, tags.get(DELIVERED), int(tags.get(EPOCHS, 0)))
