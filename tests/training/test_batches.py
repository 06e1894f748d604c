import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper.data.tokens import Split
from sweeper.training.batches import BatchMaker, epoch_order, seed_for, sorted_batches, train_batches

CPU = torch.device("cpu")


def test_order_is_a_pure_function_of_seed_and_epoch():
    torch.manual_seed(1)
    first = epoch_order(50, seed=3, epoch=2)
    torch.manual_seed(2)

    assert np.array_equal(first, epoch_order(50, seed=3, epoch=2))
    assert sorted(first) == list(range(50))
    assert not np.array_equal(first, epoch_order(50, seed=3, epoch=3))
    assert not np.array_equal(first, epoch_order(50, seed=4, epoch=2))


def test_seeds_of_neighbours_and_purposes_differ():
    seeds = {seed_for(seed, epoch, purpose) for seed in range(5) for epoch in range(5) for purpose in (0, 1)}

    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_an_epoch_has_every_row_once_in_full_batches_but_the_last():
    batches = list(train_batches(rows=23, batch_size=5, seed=0, epoch=1))

    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate(batches)) == list(range(23))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(1, 100), st.sampled_from([None, 40]))
def test_sorted_batches_hold_every_row_once_within_the_token_budget(lengths, tokens, padded_to):
    lengths = np.array(lengths)
    batches = list(sorted_batches(lengths, tokens, padded_to))

    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert np.all(np.diff(lengths[np.concatenate(batches)]) >= 0)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * (padded_to or lengths[batch].max()) <= tokens


def test_a_packed_batch_is_the_rows_end_to_end_shortest_first(make_table):
    table = make_table([3, 1, 4, 2])
    split = Split(np.array([2, 0, 1]), np.array([5, 6, 7]))
    batch = BatchMaker(table, split, "packed", CPU, first_position=2).make(np.array([0, 1, 2]))

    rows = [table.ids[table.offsets[r] : table.offsets[r + 1]] for r in (1, 0, 2)]
    assert batch.input_ids.tolist() == [np.concatenate(rows).tolist()]
    assert batch.position_ids.tolist() == [[2, 2, 3, 4, 2, 3, 4, 5]]
    assert batch.boundaries.starts.tolist() == [0, 1, 4]
    assert batch.labels.tolist() == [7, 6, 5]
    assert batch.picked.tolist() == [2, 1, 0]
    assert batch.input_ids.dtype == batch.labels.dtype == torch.int64


def test_a_flat_row_is_filled_up_to_the_multiple(make_table):
    table = make_table([3, 2])
    split = Split(np.arange(2), np.zeros(2, np.int64))
    batch = BatchMaker(table, split, "packed", CPU, first_position=2, multiple=8).make(np.arange(2))

    assert batch.input_ids.shape == batch.position_ids.shape == (1, 8)
    assert batch.boundaries.tokens == 5
    assert batch.position_ids[0, 5:].tolist() == [2, 2, 2]


@pytest.mark.parametrize(("batching", "width"), [("longest", 3), ("max_length", 4)])
def test_padded_batches_have_the_pad_token_and_a_mask(make_table, batching, width):
    table = make_table([3, 1, 4], pad_id=9)
    split = Split(np.array([0, 1]), np.array([0.5, 1.5], np.float32))
    batch = BatchMaker(table, split, batching, CPU).make(np.array([0, 1]))

    assert batch.input_ids[0].tolist() == [table.ids[3], *[9] * (width - 1)]
    assert batch.input_ids[1].tolist() == [*table.ids[:3], *[9] * (width - 3)]
    assert batch.attention_mask.sum(1).tolist() == [1, 3]
    assert batch.labels.tolist() == [1.5, 0.5]
    assert batch.labels.dtype == torch.float32


def test_a_memory_mapped_table_is_read_in_place(make_table, tmp_path):
    table = make_table([3, 2])
    table.ids.tofile(tmp_path / "ids")
    mapped = type(table)(np.memmap(tmp_path / "ids", np.int32, "r"), table.offsets, table.pad_id)
    split = Split(np.arange(2), np.zeros(2, np.int64))

    ours = BatchMaker(mapped, split, "packed", CPU).make(np.arange(2))

    assert torch.equal(ours.input_ids, BatchMaker(table, split, "packed", CPU).make(np.arange(2)).input_ids)
