"""What lies in an experiment's folder, and which experiment and which of its data was worked on last.

The last is what is meant where the user names none. A study's file is written at every start of its sweep, so its
time tells, also where everything was taken over and no trial's record is new.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sweeper.errors import UserError
from sweeper.study.configurations import all_missing
from sweeper.study.locks import is_free
from sweeper.study.record import RECORD, TrialRecord
from sweeper.study.task import LOCK


def experiments(runs: Path) -> list[str]:
    """Experiments with a finished trial, the one swept last first."""
    names = {path.parents[2].name for path in runs.glob(f"*/trials/*/{RECORD}")}
    return sorted(names, key=lambda name: (-_touched(runs / name), name))


def read_records(folder: Path) -> list[TrialRecord]:
    """All finished trials of `<runs>/<experiment>`, oldest first.

    Raises:
        UserError: a record cannot be read.
    """
    paths = sorted(folder.glob(f"trials/*/{RECORD}"), key=lambda path: (path.stat().st_mtime_ns, path))
    records = []
    for path in paths:
        try:
            records.append(TrialRecord.read(path.parent))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: not a trial's record ({error}). Remove its folder and sweep again.") from None
    return records


def tested_file(folder: Path, record: TrialRecord) -> Path:
    """Where `best` keeps what this trial scored on the test split, under `<runs>/<experiment>`."""
    return folder / "test" / f"{record.key}.json"


def tested(folder: Path, records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Those of these trials that the test split has been read for: each was the winner once."""
    return tuple(record for record in records if tested_file(folder, record).exists())


def under_way(folder: Path) -> int:
    """How many trials of `<runs>/<experiment>` are being trained at this moment, by whichever sweep."""
    return sum(not is_free(lock) for lock in folder.glob(f"trials/*/{LOCK}"))


def _touched(folder: Path) -> int:
    files = [*_study_files(folder), *folder.glob(f"trials/*/{RECORD}")]
    return max(path.stat().st_mtime_ns for path in files)


def _study_files(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("studies/*.json"), key=lambda path: -path.stat().st_mtime_ns)


def data_in_use(folder: Path, records: Sequence[TrialRecord]) -> str:
    """Fingerprint of the data of the study that was started last and has a finished trial.

    Args:
        folder: `<runs>/<experiment>`.
        records: its finished trials, oldest first; the last one's data counts where no study lists any.
    """
    data = {record.key: record.data for record in records}
    for study in _studies(folder):
        if known := [data[key] for key in study["trials"] if key in data]:
            return known[0]
    return records[-1].data


def seeds_to_come(folder: Path, records: Iterable[TrialRecord]) -> dict[str, tuple[int, ...]]:
    """The seeds that studies of `<runs>/<experiment>` ask for and that have not ended, by the key of every trial of
    their configuration.

    Args:
        records: all finished trials.
    """
    return all_missing(_studies(folder), {record.key for record in records})


def _studies(folder: Path) -> Iterator[dict[str, Any]]:
    """What the studies' files hold, the newest first; a damaged one is made again by the next sweep."""
    for path in _study_files(folder):
        try:
            study = json.loads(path.read_text(encoding="utf-8"))
            study["trials"].items()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        yield study
