"""The benchmark's arithmetic and its fairness: what it counts, what it calls void, that both sides train the same."""

import json
import math
import os
from importlib import import_module
from pathlib import Path
from statistics import mean

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from bench import __main__ as bench
from bench import compare, flops, growth, materials, memory, publish, summary, sweeper_side, trainer_side
from bench.cases import QUICK, Case, Side, Sizes, all_cases
from bench.child import measure
from bench.results import result_of, rows_of
from bench.sweeps import Sweep
from sweeper.errors import UserError

LAYERS, HIDDEN, INNER = 2, 16, 32
SHAPE = {"layers": LAYERS, "hidden": HIDDEN, "inner": INNER}
seconds = st.floats(0.01, 1000)


def in_process(name: str, job: dict, threads: int) -> dict:
    """`child.measure` without the process."""
    module, _, function = name.partition(":")
    return {"seconds": 1.0, **getattr(import_module(f"bench.{module}"), function)(job), "process_seconds": 1.0}


@pytest.fixture(scope="module")
def nsmc(tmp_path_factory) -> Path:
    """A folder like NSMC's, with blank texts and quotation marks as there."""
    folder = tmp_path_factory.mktemp("nsmc")
    for name in (materials.TRAIN_FILE, materials.TEST_FILE):
        lines = [
            f'{n}\t{"" if n % 50 == 7 else f"정말 좋은 영화{n} 입니다 " * (1 + n % 5)}"\t{n % 2}' for n in range(300)
        ]
        lines[7] = "7\t\t1"
        (folder / name).write_text("\n".join(["id\tdocument\tlabel", *lines]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def trial(tiny_encoder: Path, tmp_path: Path) -> dict:
    """The job of one training on 48 rows."""
    rows = [("기쁜 영화 " * (1 + n % 4) if n % 2 else "슬픈 날 " * (1 + n % 3), n % 2) for n in range(64)]
    materials.write_rows(tmp_path / "rows.json", rows[:48], rows[48:], label_names=["0", "1"])
    return {
        "rows": str(tmp_path / "rows.json"), "work": str(tmp_path), "model": str(tiny_encoder), "seed": 3, "lr": 1e-3,
        "batch_size": 16, "epochs": 2, "max_length": 32, "precision": "float32", "device": "cpu",
    }  # fmt: skip


# counting


@pytest.mark.parametrize("length", [1, 5, 12])
def test_useful_flops_are_those_of_three_forward_passes_of_the_stock_encoder(length: int) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=9, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=INNER,
        attn_implementation="eager",
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.ones(3, length, dtype=torch.long))
    assert flops.useful_flops([length] * 3, **SHAPE) == 3 * counter.get_total_flops()


def test_executed_flops_are_those_of_a_packed_training_step(tiny_encoder: Path) -> None:
    from sweeper.training.classifier import load_classifier
    from sweeper.training.loop import FitSettings, Training

    names, rows, length = ["a", "b", "c"], 4, 6
    words = " ".join(["영화"] * (length - 2))
    split = {"texts": [words] * rows, "labels": [0, 1, 2, 0]}
    table, train, held_out = sweeper_side.token_table({"train": split, "validation": split}, str(tiny_encoder), 32)
    assert set(table.lengths) == {length}
    model = load_classifier(
        str(tiny_encoder), label_names=names, loss="auto", dropout=None, freeze_encoder=False, seed=0
    )
    training = Training(
        model, table, train, held_out, FitSettings(lr=1e-4, batch_size=rows, epochs=1, precision="float32")
    )
    with FlopCounterMode(display=False) as counter:
        training._train(1)
    head = 6 * rows * (HIDDEN * HIDDEN + HIDDEN * len(names))
    assert counter.get_total_flops() - head == flops.executed_flops([length] * rows, **SHAPE)


def test_padding_is_not_useful() -> None:
    assert flops.useful_flops([3, 9], **SHAPE) < flops.useful_flops([9, 9], **SHAPE)


def test_the_ceiling_is_the_best_of_its_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flops, "SECONDS_A_SHAPE", 0.0)
    job = {"hidden": 8, "inner": 16, "tokens": 12, "squares": [4], "precision": "float32", "device": "cpu"}
    found = flops.ceiling(job)
    assert set(found["shapes"]) == {"12x8x8", "12x8x16", "12x16x8", "16x12x8", "4x4x4"}
    assert found["flops_per_second"] == max(found["shapes"].values()) > 0


# comparing


@given(st.lists(seconds, min_size=1, max_size=5), st.floats(0.1, 10))
def test_a_constant_factor_is_found_whatever_the_rounds(ours: list[float], factor: float) -> None:
    found = compare.ratio(ours, [factor * one for one in ours])
    assert list(found.values()) == pytest.approx([factor] * 3)


def test_losses_within_noise_stand_and_others_are_void() -> None:
    assert compare.check_losses([0.690, 0.700], [0.699, 0.692])["valid"]
    assert not compare.check_losses([0.690, 0.700], [0.800, 0.810])["valid"]
    assert not compare.check_losses([0.69], [math.nan])["valid"]


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=4), st.lists(st.floats(0.1, 5), min_size=1, max_size=4))
def test_no_noise_excuses_a_tenth_and_nothing_small_is_held_against_a_side(
    ours: list[float], theirs: list[float]
) -> None:
    level = mean([*ours, *theirs])
    assert 0.03 * level <= compare.tolerance(ours, theirs) * (1 + 1e-9)
    assert compare.tolerance(ours, theirs) <= 0.10 * level * (1 + 1e-9)


def test_labels_are_compared_as_far_as_both_sides_went() -> None:
    assert compare.check_labels(["a", "b", "a", "b"], ["a", "b"])["valid"]
    assert not compare.check_labels(["a", "b"], ["a", "a"])["valid"]


def measured(cost: float, loss: float) -> dict:
    return {"seconds": cost, "train_seconds": cost, "loss": loss, "lengths": [4, 4]}


CASE = Case("c", "about", "counted", (Side("sweeper", "m:f", {}), Side("other", "m:f", {})), 2, {"other": 2.5})


def test_a_case_with_another_loss_is_void_and_says_so() -> None:
    ours = [measured(2, 0.5), measured(4, 0.5)]
    fair = {"sweeper": ours, "other": [measured(6, 0.5), measured(12, 0.501)]}
    unfair = {"sweeper": ours, "other": [measured(6, 0.9), measured(12, 0.9)]}
    good, bad = (result_of(CASE, found, {"cpu": "x"}, "float32") for found in (fair, unfair))
    assert good["valid"]
    assert good["sides"][1]["times"]["median"] == pytest.approx(3)
    assert not bad["valid"]
    assert "VOID" in rows_of([bad])
    assert "VOID" not in rows_of([good])
    assert "2.5 ✓" in rows_of([good])
    assert good["rounds"]["sweeper"][0]["tokens"] == 8
    json.dumps(good)


def test_efficiency_is_the_share_of_the_ceiling_of_the_same_rounds() -> None:
    limit = Side("ceiling", "m:f", SHAPE)
    case = Case("efficiency", "about", "counted", (CASE.sides[0], limit), 1, {"ceiling": 0.6}, None)
    rate = flops.useful_flops([4, 4], **SHAPE) / 2
    found = {"sweeper": [measured(2, 0.5)], "ceiling": [{"seconds": 1, "flops_per_second": 4 * rate}]}
    (side,) = result_of(case, found, {}, "float32")["sides"]
    assert side["share"]["median"] == pytest.approx(0.25)
    assert side["executed_share"] < 0.25


# fairness


def test_both_sides_start_from_the_same_weights_and_reach_the_same_loss(trial: dict) -> None:
    pytest.importorskip("accelerate")
    from sweeper.training.classifier import load_classifier

    theirs = {**trial, "padding": "longest", "sampling": "random"}
    drawn = trainer_side.make_trainer(theirs, materials.read_rows(trial["rows"])).model_init()
    ours = load_classifier(
        trial["model"], label_names=["0", "1"], loss="cross_entropy", dropout=None, freeze_encoder=False, seed=3
    )
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), drawn.parameters(), strict=True))
    found = [sweeper_side.trial(trial), trainer_side.trial(theirs)]
    assert [len(one["losses"]) for one in found] == [2, 2]
    assert compare.check_losses(*([one["loss"]] for one in found))["valid"]
    assert all(0 < one["train_seconds"] < one["seconds"] for one in found)


def test_padding_to_the_full_length_pads_to_the_full_length(trial: dict) -> None:
    pytest.importorskip("accelerate")
    job = {**trial, "padding": "max_length", "sampling": "group_by_length"}
    trainer = trainer_side.make_trainer(job, materials.read_rows(trial["rows"]))
    assert next(iter(trainer.get_train_dataloader()))["input_ids"].shape == (16, 32)
    assert type(trainer._get_train_sampler()).__name__ == "LengthGroupedSampler"


def test_without_accelerate_the_way_out_is_named(trial: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_side, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install accelerate"):
        trainer_side.make_trainer({**trial, "padding": "longest"}, {})


def test_every_case_of_the_issue_is_there_and_every_function_exists(tmp_path: Path) -> None:
    cases = {case.name: case for case in all_cases(tmp_path, Sizes(), "float32", "cpu")}
    assert list(cases) == [
        *("base", "efficiency", "batch-16", "batch-32", "batch-128"), "max-length", "sample", "prediction",
    ]  # fmt: skip
    assert cases["base"].targets == {"Trainer, default padding": 2.7, "Trainer, length grouping": 1.1}
    for side in (side for case in cases.values() for side in case.sides):
        module, _, function = side.function.partition(":")
        assert callable(getattr(import_module(f"bench.{module}"), function))
    assert cases["base"].sides[0] == cases["efficiency"].sides[0]


# running


def test_sides_are_measured_in_turn_with_one_seed_a_round_and_shared_ones_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []
    monkeypatch.setattr(bench, "measure", lambda name, job, threads: seen.append((name, job["seed"])) or {"seconds": 1})
    together = [case for case in all_cases(tmp_path, QUICK, "float32", "cpu") if case.group == "base"]
    found = bench.run_together(together, 2, 1)
    once = ["sweeper_side:trial", "trainer_side:trial", "trainer_side:trial", "flops:ceiling"]
    assert seen == [(name, seed) for seed in (0, 1) for name in once]
    assert {len(rounds) for rounds in found.values()} == {2}


def test_a_quick_run_prints_a_table_and_a_line_a_case(
    nsmc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "measure", in_process)
    monkeypatch.setattr(flops, "SECONDS_A_SHAPE", 0.0)
    arguments = ["--quick", "--case", "efficiency", "--case", "prediction", "--nsmc", str(nsmc)]
    assert bench.main([*arguments, "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    results = [json.loads(line) for line in lines if line.startswith("{")]
    assert [result["case"] for result in results] == ["efficiency", "prediction"]
    assert {"cpu", "cores", "memory_gib", "threads", "torch", "transformers"} <= set(results[0]["machine"])
    assert results[1]["sides"][1]["check"]["same_labels"] == 1
    assert json.loads((tmp_path / "prediction.json").read_text(encoding="utf-8")) == results[1]
    assert sum(line.startswith(("efficiency", "prediction")) for line in lines) == 4


def test_a_measurement_is_a_process_of_its_own_on_its_processors_whose_mistakes_come_back() -> None:
    found = measure("machine:describe", {"any": "job"}, 1)  # describe() shows what it was given, and what it runs on
    assert found["threads"] == {"any": "job"}
    assert found["cores"] == 1 or not hasattr(os, "sched_setaffinity")
    assert found["seconds"] == found["process_seconds"] > 0
    with pytest.raises(UserError, match="--rounds and --threads"):
        measure("__main__:parse", {"--rounds=0": "an option"}, 1)
    with pytest.raises(RuntimeError, match="AttributeError"):
        measure("machine:nothing", {}, 1)


def test_a_case_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch-128"):
        bench.choose(all_cases(tmp_path, Sizes(), "float32", "cpu"), ["batch-7"])


def test_without_nsmc_the_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--nsmc"):
        bench.main(["--quick", "--case", "base", "--nsmc", str(tmp_path)])


def test_nsmc_rows_are_the_same_ones_every_time_and_have_a_text(nsmc: Path) -> None:
    file = nsmc / materials.TRAIN_FILE
    rows = materials.nsmc_rows(file, 200)
    assert rows == materials.nsmc_rows(file, 200)
    assert all(text.strip() for text, _ in rows)
    assert rows[:50] == materials.nsmc_rows(file, 50)
    with pytest.raises(UserError, match="needed"):
        materials.nsmc_rows(file, 1000)


# sweeps, growth, memory


def event(at: float, worker: int, kind: str, key: str) -> dict:
    epoch = {"peak_memory_mb": at, "seconds": 1.0}
    return {"at": at, "worker": worker, "kind": kind, "key": key, "epoch": epoch}


def test_gaps_are_from_the_last_epoch_to_the_next_trials_first_step_on_the_same_worker() -> None:
    kinds = [
        event(5, 0, "step", "a"), event(6, 1, "step", "b"), event(7, 0, "epoch", "a"), event(7.1, 0, "step", "a"),
        event(8, 0, "epoch", "a"), event(8.1, 0, "ended", "a"), event(8.3, 0, "step", "c"), event(9, 1, "epoch", "b"),
        event(9.9, 1, "step", "d"), event(10, 0, "step", "c"), event(11, 0, "epoch", "c"),
    ]  # fmt: skip
    seen = Sweep(12.0, tuple(kinds))
    assert seen.first_step == 5
    assert seen.gaps == pytest.approx([0.3, 0.9])
    assert seen.peaks == [8, 9, 11]
    assert seen.training_seconds == 4


def test_memory_growth_is_counted_after_the_third_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [event(peak, 0, "epoch", str(n)) for n, peak in enumerate([400, 480, 500, 510, 550])]
    monkeypatch.setattr(memory, "watch", lambda arguments: Sweep(1.0, tuple(trials)))
    found = memory.measure(5, "float32")
    assert found["growth"] == pytest.approx(0.1)
    assert not found["met"]


def test_growth_draws_the_same_picture_for_the_same_figures(tmp_path: Path) -> None:
    series = {"cold": [(1, 2.0), (10, 20.0)], "warm": [(1, 1.0), (10, 1.0)]}
    for name in ("a", "b"):
        growth.publish(name, growth.CURVES["rows"], series, tmp_path / name, {"cpu": "x"})
    first, second = (tmp_path / name / f"growth-{name}.svg" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert "rows^1.00" in first.read_text(encoding="utf-8")
    assert (tmp_path / "a/growth-a.csv").read_text().splitlines() == [
        "series,rows,seconds", "cold,1,2", "cold,10,20", "warm,1,1", "warm,10,1",
    ]  # fmt: skip


@given(st.floats(0.5, 3), st.floats(0.01, 10))
def test_the_exponent_of_a_power_is_found(power: float, factor: float) -> None:
    points = [(x, factor * x**power) for x in (1.0, 4.0, 32.0)]
    assert publish.exponent(points) == pytest.approx(power)


def test_the_growth_of_rows_is_measured_cold_and_warm(
    nsmc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "measure", in_process)
    series = growth.rows(growth.Bench(tmp_path, nsmc, growth.QUICK, rounds=1))
    assert {name: [x for x, _ in points] for name, points in series.items()} == {"cold": [50, 100], "warm": [50, 100]}
    assert min(series["cold"])[1] > min(series["warm"])[1]


def test_classes_are_trained_with_as_many_labels(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import scaling

    job = {"model": str(tiny_encoder), "classes": 20, "rows": 30, "length": 8, "batch_size": 16}
    with pytest.raises(IndexError):  # tokens of the bundled vocabulary are unknown to this encoder
        scaling.training(job)
    monkeypatch.setattr(scaling, "VOCABULARY", 17)
    assert scaling.training(job)["seconds"] > 0


# the page


def test_the_page_of_results_is_that_of_the_committed_files() -> None:
    results = summary.read_results()
    assert (publish.RESULTS / "README.md").read_text(encoding="utf-8") == summary.page(results)
    assert all(results[name]["valid"] for name in summary.ORDER)


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_quotes_every_factor_as_it_was_measured(readme: str) -> None:
    text = (Path(__file__).parent.parent / readme).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and ("×" in line or "%" in line)]
    for case, side, factor in summary.quoted(summary.read_results()):
        assert any(factor in row for row in rows), f"{case}, {side}: {factor}"
