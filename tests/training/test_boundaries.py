import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper.training import boundaries
from sweeper.training.boundaries import find_boundaries

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=60).map(lambda lengths: np.array(sorted(lengths)))


@given(LENGTHS)
def test_blocks_hold_every_sequence_once_and_every_token_has_a_place_of_its_own(lengths):
    found = find_boundaries(lengths, CPU)

    assert sum(block.rows for block in found.blocks) == len(lengths)
    assert sum(block.tokens for block in found.blocks) == found.tokens == lengths.sum()
    assert found.cumulative.tolist() == [0, *np.cumsum(lengths)]
    assert found.starts.tolist() == found.cumulative.tolist()[:-1]
    assert found.longest == lengths.max()
    for block in found.blocks:
        places = found.slots[block.token : block.token + block.tokens]
        rows, positions = places // block.longest, places % block.longest
        own = lengths[block.first : block.first + block.rows]
        assert rows.tolist() == np.repeat(np.arange(block.rows), own).tolist()
        assert positions.tolist() == [position for length in own for position in range(length)]


@given(LENGTHS)
def test_a_further_block_is_made_only_where_it_saves_more_than_it_costs(lengths):
    padded = sum(block.rows * block.longest**2 for block in find_boundaries(lengths, CPU).blocks)
    blocks = len(find_boundaries(lengths, CPU).blocks)

    assert padded + (blocks - 1) * boundaries.BLOCK_COST <= len(lengths) * lengths.max() ** 2


def test_lengths_far_apart_are_not_padded_to_each_other():
    found = find_boundaries(np.array([10] * 50 + [120] * 2), CPU)

    assert [(block.rows, block.longest) for block in found.blocks] == [(50, 10), (2, 120)]
    assert all(lane.bias is None for lane in found.lanes(2, first_only=False))


def test_lanes_are_made_once_for_all_layers():
    found = find_boundaries(np.array([1, 3]), CPU)

    assert found.lanes(2, first_only=False) is found.lanes(2, first_only=False)
    assert found.lanes(2, first_only=True)[0].query_shape == (4, 1)
