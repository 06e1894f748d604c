import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
from records import epoch, point, record
from rich.console import Console

from sweeper.study.points import GridPoints
from sweeper.study.progress import (
    LiveProgress,
    NoProgress,
    NotebookProgress,
    PlainProgress,
    make_progress,
    progress_table,
)

POINTS = [point("a", lr=1e-3), point("b", lr=1e-4)]


def console(terminal=False):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


@pytest.fixture
def plain():
    progress = PlainProgress(console())
    progress.open("made · lr study", GridPoints(tuple(POINTS)), workers=2)
    return progress


def test_every_epoch_is_a_line_with_its_trial_figures_and_time_left(plain):
    plain.started(POINTS[0], 0)
    plain.epoch(POINTS[0], epoch(1))
    last = plain.console.file.getvalue().splitlines()[-1]
    assert "lr=0.001 bs=64  epoch 1/3" in last
    assert "val loss 1.0000" in last
    assert "about 6 s left" in last  # 5 epochs of 2 s are left, but one trial's 3 come one after the other


def test_time_left_shrinks_within_an_epoch(plain):
    plain.started(POINTS[0], 0)
    plain.epoch(POINTS[0], epoch(1))
    plain.started(POINTS[1], 1)
    plain.step(POINTS[1], 5, 10)
    assert plain.eta() == "about 5 s left"


class Found:
    """A search that has found one of its points, or two."""

    def __init__(self, most):
        self.known, self.most, self.size = POINTS[:1], most, "4 trials (tpe)"


def test_a_point_found_on_the_way_gets_a_row_and_those_to_come_count_in_the_time_left():
    progress = PlainProgress(console())
    progress.open("made · search study", Found(most=4), workers=2)
    assert "made · search study: 4 trials (tpe), 2 at a time" in progress.console.file.getvalue()
    progress.started(POINTS[0], 0)
    progress.epoch(POINTS[0], epoch(1))
    assert progress.eta() == "about 11 s left"  # 2 epochs of this trial and 3 trials of 3, 2 s each, 2 at a time
    progress.started(POINTS[1], 1)
    progress.ended(POINTS[1], record("b"))
    assert "[1/4 trials]" in progress.console.file.getvalue()


def test_where_only_minutes_limit_a_search_no_number_is_made_up():
    progress = PlainProgress(console())
    progress.open("made · search study", Found(most=None), workers=1)
    progress.started(POINTS[0], 0)
    progress.epoch(POINTS[0], epoch(1))
    assert progress.eta() == ""
    progress.ended(POINTS[0], record("a"))
    assert "[1 trials]" in progress.console.file.getvalue()


def test_a_diverged_trial_says_why(plain):
    from dataclasses import replace

    plain.ended(POINTS[0], replace(record("a", state="diverged"), reason="loss is not finite in epoch 3"))
    assert "diverged (loss is not finite in epoch 3)" in plain.console.file.getvalue()
    assert "[1/2 trials]" in plain.console.file.getvalue()


def test_names_are_never_read_as_markup(plain):
    plain.note("[red]not markup[/red]")
    assert "[red]not markup[/red]" in plain.console.file.getvalue()


def test_live_table_shows_every_trial_and_its_figures():
    live = LiveProgress(console())
    PlainProgress.open(live, "made · lr study", GridPoints(tuple(POINTS)), 2)
    live.started(POINTS[0], 0)
    live.epoch(POINTS[0], epoch(1))
    out = console()
    out.print(progress_table(live))
    text = out.file.getvalue()
    assert "running" in text
    assert "waiting" in text
    assert "1.0/3" in text


def test_a_table_taller_than_the_terminal_shows_what_runs_and_counts_the_rest():
    many = [point(f"k{number}", lr=(number + 1) * 1e-5) for number in range(32)]
    live = LiveProgress(Console(file=io.StringIO(), force_terminal=True, width=120, height=24))
    PlainProgress.open(live, "made · grid study", GridPoints(tuple(many)), 2)
    for number in range(30):
        live.ended(many[number], record(f"k{number}"))
    live.started(many[30], 0)
    live.console.print(live._table())
    lines = live.console.file.getvalue().splitlines()
    text = "\n".join(lines)
    assert len(lines) <= 24
    assert "lr=0.00031" in text
    assert "lr=0.00032" in text
    assert "and 16 complete" in text


def test_the_time_left_tells_of_the_studies_that_follow(plain):
    plain.later = 10
    plain.started(POINTS[0], 0)
    plain.epoch(POINTS[0], epoch(1))
    assert plain.eta() == "about 6 s left, 16 s with the studies after it"  # 10 epochs of 2 s, two at a time


@pytest.fixture
def notebook(monkeypatch):
    """What a notebook was shown, its latest last; IPython itself is looked at in experiments/quickstart.ipynb."""
    shown = []
    handle = SimpleNamespace(update=shown.append)
    fake = ModuleType("IPython.display")
    fake.display = lambda table, display_id=None: shown.append(table) or handle
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    return shown


def test_a_notebook_gets_one_table_that_is_replaced_and_no_lines(notebook):
    where = console()
    where.is_jupyter = True
    progress = make_progress("auto", where)
    assert type(progress) is NotebookProgress
    progress.open("made · lr study", GridPoints(tuple(POINTS)), 2)
    before = where.file.getvalue()
    progress.started(POINTS[0], 0)
    progress.epoch(POINTS[0], epoch(1))
    progress.ended(POINTS[0], record("a"))
    progress.close()
    assert where.file.getvalue() == before
    assert len(notebook) == 3
    out = console()
    out.print(notebook[-1])
    assert "complete" in out.file.getvalue()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def person(monkeypatch):
    """An environment in which nothing says that nobody watches."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_kind_follows_the_terminal_unless_it_is_given(person):
    assert type(make_progress("auto", Console(file=Screen()))) is LiveProgress
    assert type(make_progress("auto", console())) is PlainProgress
    assert type(make_progress("plain", Console(file=Screen()))) is PlainProgress
    assert type(make_progress("live", console())) is LiveProgress
    assert type(make_progress("none", console())) is NoProgress


@pytest.mark.parametrize(
    ("name", "value", "file"),
    [
        ("FORCE_COLOR", "1", io.StringIO),
        ("TTY_COMPATIBLE", "1", io.StringIO),
        ("CI", "true", Screen),
        ("TERM", "dumb", Screen),
    ],
)
def test_where_nobody_watches_it_is_plain_lines(person, monkeypatch, name, value, file):
    monkeypatch.setenv(name, value)
    assert type(make_progress("auto", Console(file=file()))) is PlainProgress


def test_the_table_can_be_read_on_a_terminal_of_80_columns():
    live = LiveProgress(Console(file=io.StringIO(), force_terminal=True, width=80, height=24))
    only = point("a", lr=1.25e-05, batch_size=128)
    PlainProgress.open(live, "made · lr study", GridPoints((only,)), 2)
    live.ended(only, record("a"))
    live.console.print(live._table())
    text = live.console.file.getvalue()
    assert "lr=1.25e-05 bs=128" in text
    assert "complete" in text
    assert "…" not in text
