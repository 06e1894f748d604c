"""Reading ahead changes when pages are read and nothing else."""

import mmap

import numpy as np
import pytest
import torch

from sweeper.data.tokens import Split, TokenTable
from sweeper.training import token_source
from sweeper.training.batches import BatchMaker, train_batches
from sweeper.training.loop import FitSettings, Training, fit
from sweeper.training.token_source import TokenSource, free_memory

CPU = torch.device("cpu")
LENGTHS = np.random.default_rng(0).integers(1, 400, 300)


class Noted:
    """A memory map that writes down what it was advised of, and passes it on."""

    def __init__(self, real: mmap.mmap) -> None:
        self.real, self.advice = real, []

    def __len__(self) -> int:
        return len(self.real)

    def madvise(self, advice: int, start: int, length: int) -> None:
        assert advice == mmap.MADV_WILLNEED
        self.advice.append((start, start + length))
        self.real.madvise(advice, start, length)


@pytest.fixture
def mapped(make_table, tmp_path) -> TokenTable:
    table = make_table(LENGTHS)
    table.ids.tofile(tmp_path / "ids")
    return TokenTable(np.memmap(tmp_path / "ids", np.int32, "r"), table.offsets, table.pad_id)


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(token_source, "free_memory", lambda: 1000)


def test_a_table_that_fits_is_not_read_ahead(mapped):
    assert mapped.ids.nbytes < free_memory()
    assert not TokenSource(mapped.ids, CPU).reads_ahead


@pytest.mark.usefixtures("little_memory")
def test_ids_in_memory_are_not_read_ahead(make_table):
    assert not TokenSource(make_table(LENGTHS).ids, CPU).reads_ahead


@pytest.mark.usefixtures("little_memory")
def test_every_batch_has_been_asked_for_when_it_comes_and_the_next_one_too(mapped):
    source = TokenSource(mapped.ids, CPU)
    noted = source._map = Noted(source._map)
    split = Split(np.arange(300), np.zeros(300, np.int64))
    maker = BatchMaker(mapped, split, "packed", CPU, source=source)
    plain = list(train_batches(300, 32, 0, 1))

    for number, picked in enumerate(maker.ahead(iter(plain))):
        assert np.array_equal(picked, plain[number])
        rows = np.concatenate(plain[: number + 2])
        assert len(noted.advice) == len(rows)
        for row, (start, end) in zip(rows, noted.advice, strict=True):
            assert start % mmap.PAGESIZE == 0
            assert start <= mapped.offsets[row] * 4 < start + mmap.PAGESIZE
            assert end == mapped.offsets[row + 1] * 4
    assert number == len(plain) - 1


@pytest.mark.usefixtures("little_memory")
def test_a_system_that_takes_no_advice_reads_when_it_is_asked(mapped):
    class Refusing(Noted):
        def madvise(self, advice: int, start: int, length: int) -> None:
            raise OSError("not here")

    source = TokenSource(mapped.ids, CPU)
    source._map = Refusing(source._map)
    source.expect(np.array([0]), np.array([5]))
    assert source.take(np.arange(5)).tolist() == mapped.ids[:5].tolist()


@pytest.mark.parametrize("little", [False, True])
def test_a_training_is_the_same_bit_for_bit(make_classifier, learnable, monkeypatch, tmp_path, little):
    table, train, validation = learnable
    table.ids.tofile(tmp_path / "ids")
    mapped = TokenTable(np.memmap(tmp_path / "ids", np.int32, "r"), table.offsets, table.pad_id)
    settings = FitSettings(lr=0.003, batch_size=8, epochs=2, precision="float32", device="cpu")
    expected = list(fit(Training(make_classifier(), table, train, validation, settings)))
    if little:
        monkeypatch.setattr(token_source, "free_memory", lambda: 0)
    run = Training(make_classifier(), mapped, train, validation, settings)

    assert run.train._ids.reads_ahead == little
    assert [(one.train_loss, one.val_loss) for one in fit(run)] == [(one.train_loss, one.val_loss) for one in expected]


def test_both_splits_of_a_training_share_one_copy_of_the_table(make_classifier, learnable):
    run = Training(make_classifier(), *learnable, FitSettings(lr=0.1, device="cpu", precision="float32"))
    assert run.train._ids is run.validation._ids


def test_free_memory_is_told_where_the_system_does_not_say(monkeypatch, tmp_path):
    monkeypatch.setattr(token_source, "MEMORY", tmp_path / "none")
    assert free_memory() > 2**20
