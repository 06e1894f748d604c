"""The weights that no one will ask for are removed: a trial's are as large as its encoder.

Kept are those of each study's best trial, and of the best trial of a configuration that still lacks seeds, since the
mean over all of them may make it the winner.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweeper.study.configurations import all_missing, configurations
from sweeper.study.listing import TRIALS
from sweeper.study.record import WEIGHTS, TrialRecord


def drop_losers(trials: Path, studies: Sequence[Mapping[str, Any]]) -> None:
    """Remove the weights of every ended trial that is the best of none of the studies it belongs to.

    Args:
        trials: folder of the trials' folders.
        studies: what each study's file holds.
    """
    records = {}
    for key in {key for study in studies for key in study[TRIALS]}:
        with suppress(FileNotFoundError):  # not ended, or taken up again at this moment
            records[key] = TrialRecord.read(trials / key)
    missing = all_missing(studies, records)
    kept = set[str]()
    for study in studies:
        kept |= _may_win([records[key] for key in study[TRIALS] if key in records], missing)
    for data in {record.data for record in records.values()}:  # with the seeds of all studies another may be the best
        kept |= _may_win([record for record in records.values() if record.data == data], missing)
    for key in set(records) - kept:
        if records[key].config["train"].get("keep_weights") == "all":
            continue  # asked for by an earlier sweep; a later one does not take them away
        (trials / key / WEIGHTS).unlink(missing_ok=True)


def _may_win(records: Sequence[TrialRecord], missing: Mapping[str, Sequence[int]]) -> set[str]:
    ranked = configurations(records, missing)
    return {one.best.key for place, one in enumerate(ranked) if place == 0 or one.missing}
