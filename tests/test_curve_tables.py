"""Tables of whole grids: what is in them, what is refused, and that a real study's curves come out as they were."""

import json
import math
from dataclasses import replace

import pytest

from bench import curve_tables
from bench.curve_tables import collect, read, settings, tables, write
from sweeper.config import compose
from sweeper.errors import UserError
from sweeper.study.record import TrialRecord
from tests.fabricated_tables import curve, table

ABOUT = {
    "name": "made",
    "epochs": 3,
    "command": "python -m sweeper study=grid study.lr=[1e-3,1e-4] study.batch_size=[8]",
}


def record(lr: float, losses=(1.0, 0.9, 0.8), state: str = "complete") -> TrialRecord:
    config = {"optimizer": {"lr": lr}, "train": {"batch_size": 8}}
    return TrialRecord(
        key=str(lr), state=state, config=config, varied={"lr": lr, "batch_size": 8}, data="d", curve=curve(losses),
        overfit_epoch=1, overfit_reached=True, threads=1, device="cpu", precision="float32",
    )  # fmt: skip


def test_a_table_survives_its_file_to_the_last_bit(tmp_path):
    made = table({(1e-3, 8): [1.0, 1 / 3, 0.5], (1e-4, 8): [2.0, math.nan]}, name="b")
    back = read(write(made, tmp_path))
    assert back.about == made.about
    assert list(back.curves) == list(made.curves)
    assert [one.val_loss for one in back.curves[1e-3, 8]] == [1.0, 1 / 3, 0.5]
    assert math.isnan(back.curves[1e-4, 8][-1].val_loss)
    assert back.spent == 5
    assert (back.rates, back.batch_sizes) == ([1e-3, 1e-4], [8])
    write(replace(made, about={**made.about, "name": "nsmc"}), tmp_path)
    write(replace(made, about={**made.about, "name": "a"}), tmp_path)
    assert [one.name for one in tables(tmp_path)] == ["nsmc", "a", "b"]  # the data sets first


def test_points_come_in_the_order_of_their_study_whatever_the_records_order():
    found = collect([record(1e-4), record(1e-3)], ABOUT)
    assert list(found.curves) == [(1e-3, 8), (1e-4, 8)]
    assert found.about["trainings"] == 2
    assert found.about["seconds"] == pytest.approx(sum(one.seconds for c in found.curves.values() for one in c))


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([record(1e-3)], r"made: 1 points have no record, the first lr=0\.0001 bs=8"),
        ([record(1e-3), record(1e-4, (1.0, 1.1), "pruned")], r"pruned after 2 of 3 epochs.*prune=none"),
        ([record(1e-3), record(1e-4, (1.0, 1.1))], "complete after 2 of 3 epochs"),
        ([record(1e-3), record(1e-4, state="failed")], "failed after 3 of 3"),
    ],
)
def test_what_is_not_whole_is_refused(records, told):
    with pytest.raises(UserError, match=told):
        collect(records, ABOUT)


def test_a_training_whose_loss_is_no_number_ends_there_and_is_whole():
    found = collect([record(1e-3), record(1e-4, (1.0, math.nan), "diverged")], ABOUT)
    assert len(found.curves[1e-4, 8]) == 2


def test_a_file_that_holds_no_curves_is_told(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    for name in ("x", "missing"):
        with pytest.raises(UserError, match=rf"{name}\.parquet: holds no curves.*curve_tables"):
            read(tmp_path / f"{name}.parquet")


@pytest.mark.parametrize("name", curve_tables.SETS)
def test_every_data_set_composes_as_the_full_grid_with_whole_curves(name):
    config = compose([*settings(name), *curve_tables.KEPT_APART])
    assert (config.name, config.study.name, config.prune.name) == (name, "grid", "none")
    assert len(config.study.lr) * len(config.study.batch_size) == 32
    assert (config.model, config.train.epochs, config.train.early_stop.monitor) == ("ko-mini", 10, None)


def test_a_study_is_trained_once_and_kept_epoch_by_epoch(tiny_encoder, tiny_table, tmp_path, monkeypatch):
    overrides = (f"model={tiny_encoder}", "data=table", f"data.path={tiny_table}", "data.max_length=16")
    monkeypatch.setattr(curve_tables, "data_sets", lambda data: {curve_tables.SETS["sample"]: overrides})
    few = ["study.lr=[1e-2,1e-3]", "study.batch_size=[8]", "train.epochs=2", "progress=none"]
    arguments = ["--only", "sample", "--runs", str(tmp_path / "runs"), "--tables", str(tmp_path), "--with", *few]
    assert curve_tables.main(arguments) == 0
    found = read(tmp_path / "sample.parquet")
    records = [
        TrialRecord.read(path.parent) for path in sorted((tmp_path / "runs/sample/trials").glob("*/record.json"))
    ]
    assert {(one.varied["lr"], 8): [e.val_loss for e in one.curve] for one in records} == {
        place: [e.val_loss for e in curve] for place, curve in found.curves.items()
    }
    about = found.about
    assert about["lr_study_batch_size"] == 64
    assert (about["epochs"], about["seed"], about["classes"]) == (2, 0, 3)
    assert sum(about["rows"].values()) == 120
    assert about["encoder"]["fingerprint"]
    assert str(tmp_path) not in json.dumps({**about, "command": "", "encoder": ""})  # these name what was given
    assert "study.lr=[1e-2,1e-3]" in about["command"]
    before = [path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/trials/*/record.json")]
    assert curve_tables.main(arguments) == 0
    assert [path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/trials/*/record.json")] == before
