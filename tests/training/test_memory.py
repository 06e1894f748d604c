import numpy as np
import pytest
import torch

from sweeper.training import memory
from sweeper.training.memory import PeakMemory, process_peak_mb

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MUCH = 64


def take_and_give_back(mebibytes: int) -> None:
    np.ones(mebibytes * 2**17)  # float64, every page written


@pytest.fixture
def counts_anew():
    if not memory._count_anew():
        pytest.skip("this system does not count a process's memory anew")


def test_the_highest_of_the_process_is_that_of_one_with_torch():
    assert 50 < process_peak_mb() < 100_000


@pytest.mark.usefixtures("counts_anew")
def test_a_trial_does_not_pay_for_the_one_before():
    first = PeakMemory(CPU)
    take_and_give_back(4 * MUCH)
    of_first = first.resident_mb
    second = PeakMemory(CPU)

    assert second.resident_mb < of_first - MUCH
    take_and_give_back(MUCH)
    assert process_peak_mb() >= of_first


@pytest.mark.usefixtures("counts_anew")
def test_the_highest_of_the_process_does_not_fall_when_it_is_counted_anew():
    take_and_give_back(4 * MUCH)
    before = process_peak_mb()
    PeakMemory(CPU)

    assert process_peak_mb() >= before


@pytest.mark.parametrize("gone", ["RESET", "STATUS"])
def test_where_the_system_cannot_count_anew_the_figure_is_the_process_s(monkeypatch, tmp_path, gone):
    monkeypatch.setattr(memory, gone, tmp_path / "no" / "such")
    peak = PeakMemory(CPU)

    assert peak.resident_mb == process_peak_mb()
    assert peak.gpu_mb is None


def test_memory_of_a_gpu_is_counted_from_the_start_of_the_trial(monkeypatch):
    said = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", said.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**20)

    assert PeakMemory(CUDA).gpu_mb == 3
    assert said == [CUDA]
