import io

import pytest
from records import epoch
from rich.console import Console

from sweeper.study.rows import Row, most_rows, rows_table

SEARCHED = "lr=1.25e-05 bs=128 dropout=0.123 schedule=constant warmup=0.105 wd=0.0123"


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [("lr=1.25e-05 bs=128", 80, 16), (SEARCHED, 80, 3), (SEARCHED, 200, 16)],
)
def test_a_name_that_takes_several_lines_leaves_room_for_fewer_rows(name, width, expected):
    assert most_rows([Row(name, 3)] * 30, width=width, height=24) == expected


def test_there_is_always_room_for_one_row():
    assert most_rows([Row(SEARCHED, 3)], width=80, height=5) == most_rows([], width=80, height=5) == 1


def test_a_searchs_trial_is_told_whole_on_80_columns_and_costs_no_figure():
    row = Row(SEARCHED, 3, state="running")
    row.add(epoch(1))
    console = Console(file=io.StringIO(), width=80, height=24)
    console.print(rows_table([row] * 10, "made", most_rows([row] * 10, width=80, height=24)))
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 24
    assert all(part in console.file.getvalue() for part in [*SEARCHED.split(), "1.0/3", "1.1000", "0.5000"])
