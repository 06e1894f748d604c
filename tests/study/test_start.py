"""Workers begin their imports before the parent begins its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.config import compose
from sweeper.study import plan, start

SLOW = ("torch", "transformers", "optuna", "mlflow", "pandas", "sklearn", "ray")


def test_what_starts_the_workers_imports_nothing_slow():
    code = f"import sys, sweeper.study.start\nprint([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class FakePool:
    nodes = ()

    def __init__(self) -> None:
        self.started: list[tuple[int, int]] = []

    def start(self, plan, at_first) -> None:
        self.started.append((plan.workers, at_first))


@pytest.mark.parametrize(("cores", "expected"), [(1, (1, 1)), (2, (2, 1)), (4, (4, 3)), (16, (8, 7))])
def test_a_core_is_left_to_the_parent_until_its_imports_are_done(monkeypatch, cores, expected):
    monkeypatch.setattr(plan, "cores", lambda: cores)
    monkeypatch.setattr(start, "cores", lambda: cores)
    monkeypatch.setattr(plan, "_gpus", lambda device: 0)
    pool = FakePool()
    start.begin(pool, [compose(["study=lr"])])
    assert pool.started == [expected]


def test_nothing_is_started_for_an_encoder_that_is_not_at_hand():
    pool = FakePool()
    start.begin(pool, [compose(["model=klue/bert-base"])])
    assert pool.started == []


def test_torch_is_asked_for_gpus_only_where_there_may_be_one(monkeypatch):
    import torch

    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append("is_available") or False)
    monkeypatch.setattr(plan, "GPU_FILES", ())
    assert plan._gpus("auto") == plan._gpus("cpu") == 0
    assert asked == []
    monkeypatch.setattr(plan, "GPU_FILES", (str(Path(__file__)),))
    assert plan._gpus("auto") == 0
    assert asked
