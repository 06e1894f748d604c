"""What the documents of `experiments/` quote is what the recorded runs measured, and nothing else."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from sweeper.config import compose_studies, plain
from sweeper.reporting.result import overrides

REPO = Path(__file__).parent.parent
RECORDED = sorted(path.parent.name for path in REPO.glob("experiments/*/result.json"))


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", REPO / "experiments/record.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


record = load()


def result(**more):
    trial = {
        "key": "a", "lr": 1e-4, "batch_size": 64, "state": "complete", "reason": None, "epochs": 5,
        "overfitting": {"epoch": 3, "reached": True}, "train_loss": 0.5, "val_loss": 0.6, "train_accuracy": 0.8,
        "val_accuracy": 0.75, "val_macro_f1": 0.7, "interval": [0.72, 0.78], "verdict": "winner", "p_adjusted": None,
        "seconds": 12.4, "sentences_per_second": 100.0,
    }  # fmt: skip
    none = {name: None for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "interval")}
    lost = {**trial, **none, "key": "b", "lr": 5e-3, "state": "diverged", "verdict": "none"}
    lost["overfitting"] = {"epoch": None, "reached": False}
    return {
        "experiment": "nsmc", "commands": ["python -m sweeper experiment=nsmc study=lr"], "model": "ko-mini",
        "versions": {"sweeper": "0.1.0", "torch": "2.13.0", "transformers": "5.17.0"}, "precision": "bf16", "seed": 42,
        "machine": {"processor": "A processor", "cores": 2, "gpu": None}, "threads": 1, "classes": 2,
        "rows": {"train": 400, "validation": 100, "test": 50}, "row_caps": {"train": 400}, "trial_seconds": 24.8,
        "chance": {"guess": "the most frequent class", "figure": 0.5}, "trials": [trial, lost],
        "baseline": {"what": "TF-IDF", "accuracy": 0.8, "interval": [0.7, 0.9]},
        "test": {"rows": 50, "accuracy": 0.7, "macro_f1": 0.69, "interval": [0.6, 0.8]}, **more,
    }  # fmt: skip


def test_a_section_tells_command_rows_cap_trials_winner_and_baseline():
    text = record.measured(result())
    for part in ("experiment=nsmc study=lr", "400 training", "capped: train 400", "| 1e-4 | 64 | 3 |", "0.720–0.780"):
        assert part in text
    assert "| 5e-3 | 64 | – | – | – | – | – | 12 | diverged |" in text
    assert record.in_short(result()).startswith("ko-mini, 400 rows: val accuracy 0.7500")


def test_a_pruned_trial_has_its_verdict_where_it_has_one():
    winner, lost = result()["trials"]
    trials = [{**winner, "state": "pruned"}, {**lost, "state": "pruned"}]
    text = record.measured(result(trials=trials))
    assert "| 12 | winner |" in text
    assert "| 12 | pruned |" in text


def test_tables_are_written_over_the_old_ones_and_leave_the_rest_alone(tmp_path, monkeypatch):
    (tmp_path / "nsmc").mkdir()
    (tmp_path / "nsmc/result.json").write_text(json.dumps(result()), encoding="utf-8")
    own, table = tmp_path / "nsmc/README.md", tmp_path / "README.md"
    own.write_text("# nsmc\n\n## Measured here\n\nNot run yet: no encoder.\n", encoding="utf-8")
    table.write_text("| a | b |\n| [nsmc](nsmc/README.md) | not run |\n| [x](x) | stays |\n", encoding="utf-8")
    monkeypatch.setattr(record, "HERE", tmp_path)
    record.write_tables("nsmc")
    assert own.read_text(encoding="utf-8") == f"# nsmc\n\n## Measured here\n\n{record.measured(result())}\n"
    own.write_text(own.read_text(encoding="utf-8") + "\nA remark.\n", encoding="utf-8")
    (tmp_path / "nsmc/result.json").write_text(json.dumps(result(seed=7)), encoding="utf-8")
    record.write_tables("nsmc")
    text = own.read_text(encoding="utf-8")
    assert "seed 7" in text
    assert "seed 42" not in text
    assert text.endswith("\n\nA remark.\n")
    assert "| [x](x) | stays |" in table.read_text(encoding="utf-8")
    assert record.in_short(result()) in table.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", record.COMMANDS)
def test_every_recorded_command_composes_and_is_told(name):
    command = record.sweep_command(name)
    assert compose_studies(command[3:])[0].name == name
    told = (REPO / "experiments/README.md").read_text(encoding="utf-8")
    assert " ".join(command) in re.sub(r" \\\n +", " ", told)


@pytest.mark.parametrize("name", RECORDED)
def test_documents_quote_the_recorded_run_of_the_command_they_name(name):
    found = record.results()[name]
    assert record.measured(found) in (REPO / f"experiments/{name}/README.md").read_text(encoding="utf-8")
    assert record.in_short(found) in (REPO / "experiments/README.md").read_text(encoding="utf-8")
    wanted = [set(overrides(plain(one))) for one in compose_studies(record.sweep_command(name)[3:])]
    told = [one for command in found["commands"] for one in compose_studies(shlex.split(command)[3:])]
    assert [set(overrides(plain(one))) for one in told] == wanted


def test_the_samples_winner_is_clearly_better_than_tfidf_and_its_curves_show_the_usual_three():
    found = record.results()["emotion58_sample"]
    assert found["trials"][0]["interval"][0] > found["baseline"]["interval"][1]
    by_rate = {trial["lr"]: trial for trial in found["trials"] if trial["batch_size"] == 64}
    assert not by_rate[1e-6]["overfitting"]["reached"]
    assert by_rate[1e-3]["overfitting"] == {"epoch": 1, "reached": True}
    assert by_rate[5e-3]["val_accuracy"] <= found["chance"]["figure"]


@pytest.mark.skipif("emotion58_sample" not in RECORDED, reason="the sample's run is not recorded")
@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_shows_the_sample_as_it_was_recorded(readme):
    trials = record.results()["emotion58_sample"]["trials"]
    known = {(trial["lr"], trial["batch_size"]): trial for trial in trials}
    text = (REPO / readme).read_text(encoding="utf-8")
    shown = re.findall(r"^[★ ] +([\d.e-]+) +(\d+) +(?:\d+|not reached) +(.*) complete$", text, re.MULTILINE)
    assert len(shown) == 8
    for lr, batch, rest in shown:
        trial = known[float(lr), int(batch)]
        names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
        assert rest.split()[:4] == [f"{trial[name]:.4f}" for name in names]
