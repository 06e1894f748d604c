"""Points that a study was given before, that a stop cut off, and that its list has no more.

Nobody takes them up, so without this they would be RUNNING in Optuna and in MLflow for ever. Their
files stay: a point that comes back into the list goes on from its last epoch. Only what this folder's own
list of the study knows is touched, and only while no other sweep runs this study: one beside us
with another list may have begun a point that its worker has not locked yet. A search takes nothing off
its list: what one sweep of it has found is a point of every other.
"""

import json
from collections.abc import Callable

from sweeper.study.ledger import Ledger
from sweeper.study.locks import is_free
from sweeper.study.prepare import PreparedStudy
from sweeper.study.record import RECORD, TrialRecord
from sweeper.study.space import Point, with_values
from sweeper.study.task import LOCK
from sweeper.study.tracks import Tracks


def end_dropped(prepared: PreparedStudy, ledger: Ledger, tracks: Tracks, say: Callable[[str], None]) -> None:
    """End what is open of them, with their record where they have one. Safe to repeat.

    Args:
        say: told which were left without an end.
    """
    fates, stopped = ledger.fates(), []
    for point in _dropped(prepared):
        folder, fate = prepared.trials / point.key, fates.get(point.key)
        if fate is None or not is_free(folder / LOCK):
            continue
        if (folder / RECORD).exists():
            record = TrialRecord.read(folder)
            if fate == "open":
                ledger.tell(point, record)
            tracks.end(record, tracks.begin(point), None)
        elif fate != "told":  # one that was let go before is stopped again: a kill may have come between the two
            if fate == "open":
                ledger.let_go(point)
                stopped.append(prepared.trial_name(point))
            tracks.stop(point)
    if stopped:
        say(f"no longer in the {prepared.study} study's list, and left unfinished: {', '.join(stopped)}")


def _dropped(prepared: PreparedStudy) -> list[Point]:
    """Points that the study's file lists and that are not asked for now."""
    if prepared.points.grows:
        return []
    asked = {point.key for point in prepared.points.known}
    listed = json.loads(prepared.file.read_text(encoding="utf-8"))["trials"]
    rest = {key: varied for key, varied in listed.items() if key not in asked}
    return [Point(key, varied, with_values(prepared.config, varied)) for key, varied in rest.items()]
