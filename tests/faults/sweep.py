"""A tiny sweep through the real command line, and all that it leaves behind as plain values to compare.

Three points of a learning-rate grid, three epochs each; the third point diverges in its first. What
two finished sweeps must have in common is everything but times, process ids and the number of workers.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.left import differences, mlflow_runs, optuna_trials, trial

HOOK = Path(__file__).parent / "hook"
WORDS = ["정말", "좋은", "나쁜", "영화", "이다", "아주", "슬픈", "기쁜", "날", "보고", "싶다"]
UNDELIVERED = "tracking: some of it was not delivered"  # then the command has to be given once more
EPOCHS = 3 + 3 + 1  # that an undisturbed sweep trains
SLOWEST_START = 240.0  # seconds after which a start counts as hanging; a busy machine takes 30


class Lost(AssertionError):
    """A fault that the sweep did not survive; the text says what differs."""


@dataclass(frozen=True)
class Inputs:
    """An encoder and a table that all sweeps share."""

    encoder: Path
    table: Path

    @classmethod
    def make(cls, folder: Path) -> "Inputs":
        """A BERT of one layer × 16 with random weights, and 120 short sentences under three labels."""
        import torch
        from transformers import BertConfig, BertModel, BertTokenizerFast

        encoder, table = folder / "encoder", folder / "rows.csv"
        encoder.mkdir(parents=True, exist_ok=True)
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        (encoder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
        tokenizer = BertTokenizerFast(vocab=str(encoder / "vocab.txt"), do_lower_case=False, model_max_length=32)
        tokenizer.save_pretrained(encoder)
        torch.manual_seed(0)
        shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **shape)
        BertModel(config).save_pretrained(encoder)
        kinds = {"기쁨": "기쁜", "슬픔": "슬픈", "보통": "영화"}
        rows = ["text,label"]
        for i in range(120):
            words = [WORDS[(i * 7 + j * j) % 6] for j in range(2 + i % 4)]
            rows.append(f"{' '.join([*words, list(kinds.values())[i % 3], str(i)])},{list(kinds)[i % 3]}")
        table.write_text("\n".join(rows), encoding="utf-8")
        return cls(encoder, table)


class Sweep:
    """One sweep in a folder of its own, started as often as it takes.

    Args:
        folder: working folder of the command; `runs/` will lie in it.
        faults: what strikes it, see `hook/sitecustomize.py`.
        more: further overrides of the command line.
    """

    def __init__(
        self, folder: Path, inputs: Inputs, *, workers: int = 1, faults: Sequence[Mapping[str, Any]] = (),
        more: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.folder, self.plan, self.starts = folder, folder / "faults", 0
        self.plan.mkdir(parents=True)
        self.arrange(faults)
        self.arguments = [
            "data=table", f"data.path={inputs.table}", f"model={inputs.encoder}", "data.max_length=16", "study=lr",
            "study.lr=[3e-2,1e-2,1e30]", "train.batch_size=8", "train.epochs=3", "progress=plain", "launcher.threads=1",
            f"launcher.workers={workers}", "launcher.retries=20", *more,
        ]  # fmt: skip

    @property
    def runs(self) -> Path:
        """Where the sweep writes."""
        return self.folder / "runs"

    def arrange(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Set the faults that wait for the next starts."""
        self.faults = list(faults)
        for old in self.plan.glob("struck-*"):
            old.unlink()
        (self.plan / "plan.json").write_text(json.dumps(self.faults))

    def start(self, module: str = "sweeper", *arguments: str) -> "subprocess.Popen[bytes]":
        """Start the command, or another one of ours, and return at once."""
        self.starts += 1
        paths = os.pathsep.join([str(HOOK), str(Path(__file__).parents[2])])
        ours = {"PYTHONPATH": paths, "SWEEPER_FAULTS": str(self.plan), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        command = [sys.executable, "-m", module, *(arguments or self.arguments)]
        with (self.folder / f"start-{self.starts}.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=os.environ | ours, stdout=log, stderr=subprocess.STDOUT
            )

    def run(self) -> int:
        """Start the command and wait for its end.

        Raises:
            Lost: it hangs.
        """
        return self.wait(self.start())

    def wait(self, process: "subprocess.Popen[bytes]", seconds: float = SLOWEST_START) -> int:
        """The exit code of a start.

        Raises:
            Lost: it is not there in time; the process is killed.
        """
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Lost(f"hangs for {seconds:.0f} s in start {self.starts}; {self.output()[-800:]}") from None

    def output(self, start: int | None = None) -> str:
        """What a start (default: the last) printed."""
        log = self.folder / f"start-{start or self.starts}.log"
        return log.read_text(encoding="utf-8", errors="replace")

    def finish(self) -> None:
        """Start the command again until it ends by itself.

        Raises:
            Lost: it ends with an error, or not after one start more than there are faults.
        """
        for _ in range(len(self.faults) + 4):
            before = self.struck()
            code = self.run()
            if code == 0 and UNDELIVERED not in self.output():
                return
            if code == 0:
                continue
            if self.struck() == before:
                raise Lost(f"start {self.starts} ended with code {code}: {self.output()[-800:]}")
        raise Lost(f"not finished after {self.starts} starts")

    def struck(self) -> int:
        """How many faults have struck."""
        return len(list(self.plan.glob("struck-*")))

    def epochs_begun(self) -> int:
        """How many epochs workers have begun, the cut-off ones included."""
        path = self.plan / "epochs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def left(
        self, database: str | None = None, artifacts: Path | None = None, storage: str | None = None
    ) -> dict[str, Any]:
        """All that the sweep has left behind, without times.

        Args:
            database, artifacts: of an MLflow server, where one is used.
            storage: URL of Optuna's, where it is not the default.
        """
        folders = sorted((self.runs / "rows" / "trials").iterdir())
        tracked = mlflow_runs(database or f"sqlite:///{self.runs / 'mlflow.db'}", artifacts)
        return {
            "trials": {folder.name: trial(folder) for folder in folders},
            "half-written": sorted(str(path.relative_to(self.runs)) for path in self.runs.rglob("*.aside")),
            "optuna": optuna_trials(self.runs, storage),
            "mlflow": tracked,
        }


def check(sweep: Sweep, undisturbed: Mapping[str, Any], *, epochs: int, **elsewhere: Any) -> None:
    """A finished sweep is the undisturbed one.

    Args:
        epochs: how many epochs may have been begun at most.
        elsewhere: see `Sweep.left`.

    Raises:
        Lost: it is not.
    """
    different = list(differences(undisturbed, sweep.left(**elsewhere)))
    if different:
        raise Lost("; ".join(different[:6]))
    if sweep.epochs_begun() > epochs:
        raise Lost(f"{sweep.epochs_begun()} epochs were begun, at most {epochs} may be")


def until(condition: Any, what: str, seconds: float = SLOWEST_START) -> None:
    """Wait for a condition.

    Raises:
        Lost: it does not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Lost(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)
