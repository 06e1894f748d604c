"""The table of trials."""

import math

from rich.console import Console

from sweeper.study.record import TrialRecord
from sweeper.study.table import all_varied, markdown_table, results_table, told_apart
from sweeper.training.metrics import EpochMetrics


def record(key: str, lr: float, accuracy: float | None, **changes) -> TrialRecord:
    curve = (EpochMetrics(1, 2.0, 1.5, accuracy, accuracy, accuracy, lr, 1.25, 10.0),)
    values = {
        "key": key,
        "state": "complete",
        "config": {"optimizer": {"lr": lr}, "train": {"batch_size": 64}},
        "varied": {"lr": lr, "batch_size": 64},
        "data": "d",
        "curve": curve,
        "overfit_epoch": 1,
        "overfit_reached": True,
        "threads": 1,
        "device": "cpu",
        "precision": "float32",
    }
    return TrialRecord(**(values | changes))


def printed(records, winner, width: int = 160) -> list[str]:
    console = Console(width=width, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(results_table(records, winner))
    return console.export_text().splitlines()


def test_best_first_with_the_winner_marked():
    lines = printed([record("a", 1e-3, 0.25), record("b", 2e-05, 0.75)], "b")
    rows = [line for line in lines if "complete" in line]
    assert "2e-05" in rows[0]
    assert "★" in rows[0]
    assert "★" not in rows[1]


def test_it_fits_a_terminal_of_80_columns():
    lines = printed([record("a", 1.25e-06, 0.25, overfit_reached=False), record("b", 2e-05, 0.75)], "b", width=80)
    rows = [line for line in lines if "complete" in line]
    assert len(rows) == 2
    assert "1.25e-06" in rows[1]
    assert "not reached" in rows[1]
    assert "…" not in "".join(lines)


def test_every_state_has_a_row_and_absent_figures_are_dashes():
    records = [
        record("a", 1e-3, 0.25, overfit_reached=False),
        record("b", 5e-3, 0.5, state="diverged", overfit_epoch=None, reason="loss is not finite in epoch 1"),
        record("c", 1e-4, None, state="failed", curve=(), overfit_epoch=None, reason="[red]out of memory"),
    ]
    text = "\n".join(printed(records, "a"))
    assert "not reached" in text
    assert "diverged: loss is not finite in epoch 1" in text
    assert "failed: [red]out of memory" in text


def test_regression_has_no_columns_of_accuracy():
    lines = printed([record("a", 1e-3, None)], "a")
    assert not any("acc" in line or "–" in line for line in lines)
    assert any("1.5000" in line and "complete" in line for line in lines)
    assert "acc" not in markdown_table([record("a", 1e-3, None)], "a")


def test_what_else_differs_gets_a_column():
    records = [
        record(key, 1e-3, 0.5, config={"optimizer": {"lr": 1e-3}, "train": {"batch_size": 64}, "model": model})
        for key, model in (("a", "ko-mini"), ("b", "klue/bert-base"))
    ]
    assert any("model=klue/bert-base" in line for line in printed(records, None))
    assert not any("also" in line for line in printed(records[:1], None))


def test_trials_are_told_apart_by_what_differs_besides_rate_and_batch():
    configs = [{"optimizer": {"name": name, "lr": 1e-3}, "train": {"batch_size": 64}} for name in ("sgd", "adamw")]
    records = [record(config["optimizer"]["name"], 1e-3, 0.5, config=config) for config in configs]
    assert told_apart(records) == [{"optimizer.name": "sgd"}, {"optimizer.name": "adamw"}]
    assert told_apart(records[:1]) == [{}]


def test_the_markdown_table_keeps_its_shape_whatever_a_reason_holds():
    bad = record("a", 1e-3, math.nan, state="failed", reason="a|b\nc")
    lines = markdown_table([bad], None).splitlines()
    assert len(lines) == 3
    assert "a\\|b c" in lines[2]


def test_what_a_search_varies_is_shown_once():
    records = [
        record(
            key, 1e-3, 0.5,
            config={
                "optimizer": {"lr": 1e-3, "weight_decay": dropout / 10}, "train": {"batch_size": 64},
                "head": {"dropout": dropout},
            },
            varied={"lr": 1e-3, "batch_size": 64, "dropout": dropout, "weight_decay": dropout / 10},
        )
        for key, dropout in (("a", 0.1), ("b", 0.2))
    ]  # fmt: skip
    [line] = [line for line in markdown_table(records, "a").splitlines() if "=0.1 " in line]
    assert line.endswith("| dropout=0.1 wd=0.01 |")
    assert all_varied(records)[0] == {"lr": 1e-3, "batch_size": 64, "dropout": "0.1", "weight_decay": "0.01"}
