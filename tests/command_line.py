"""A small sweep through the real command line, for the tests of what it leaves."""

import os
import subprocess
import sys
from pathlib import Path

from sweeper.study.record import RECORD, TrialRecord

RATES = "study.lr=[3e-2,1e-2]"


def command(module: str, *arguments: str, cwd: Path, **options):
    """`python -m module arguments` in a folder, on one thread, with what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        **options,
    )


def overrides(encoder: Path, table: Path) -> list[str]:
    """An lr study of two trials."""
    return [
        "data=table",
        f"data.path={table}",
        f"model={encoder}",
        "study=lr",
        RATES,
        "train.batch_size=8",
        "train.epochs=3",
        "data.max_length=16",
        "progress=plain",
    ]


def records(folder: Path) -> list[TrialRecord]:
    """What its trials came to."""
    return [TrialRecord.read(path.parent) for path in sorted(folder.glob(f"runs/rows/trials/*/{RECORD}"))]
