"""Searches replayed on tables: that they are the tool's own searches, what they cost, and what is said of them."""

import csv
import itertools
import json
import math
import random

import numpy as np
import pytest

from bench import publish, replay, replay_page, strategies, summary
from bench.curve_tables import CurveTable, write
from bench.replay import difference, regret
from bench.strategies import GRID, LR_BATCH, SHUFFLED, STRATEGIES, Strategy
from sweeper.api import sweep
from sweeper.errors import UserError
from sweeper.study.record import TrialRecord, rank
from tests.fabricated_tables import table

RATES, SIZES = (1e-2, 1e-3, 1e-4, 1e-5), (8, 16, 32)
PLACES = list(itertools.product(RATES, SIZES))
BEST = (1e-3, 16)


def hill(epochs: int = 9) -> CurveTable:
    """Curves that fall to a loss that is the lower the nearer to the best point, and rise from some epoch on."""
    losses = {}
    for lr, size in PLACES:
        far = abs(math.log10(lr / BEST[0])) + abs(math.log2(size / BEST[1]))
        turns = 2 + (3 * RATES.index(lr) + SIZES.index(size)) % 7
        losses[lr, size] = [1 + far + 0.1 * abs(epoch - turns) for epoch in range(1, epochs + 1)]
    return table(losses)


def places(records: list[TrialRecord]) -> list[tuple[float, int]]:
    return [(float(one.varied["lr"]), int(one.varied["batch_size"])) for one in records]


def spent(records: list[TrialRecord]) -> int:
    return sum(len(one.curve) for one in records)


# the tool beside the replay


@pytest.fixture(scope="module")
def tool(tmp_path_factory, tiny_encoder, tiny_table):
    """The tool's own study on a tiny encoder, as its list has it: (records in their order, the study's id)."""

    def run(*settings: str) -> tuple[list[TrialRecord], str]:
        runs = tmp_path_factory.mktemp("runs")
        overrides = [
            "data=table", f"data.path={tiny_table}", f"model={tiny_encoder}", "data.max_length=16", "name=made",
            "study.lr=[1e-1,3e-2,1e-2,1e-3]", "study.batch_size=[8,16,32]", "train.epochs=6", "launcher.workers=1",
            "launcher.threads=1", "tracking=none", "progress=none", f"paths.runs={runs}",
        ]  # fmt: skip
        sweep([*overrides, *settings])
        [file] = (runs / "made/studies").glob("*.json")
        listed = json.loads(file.read_text(encoding="utf-8"))
        return [TrialRecord.read(runs / "made/trials" / key) for key in listed["trials"]], listed["id"]

    return run


@pytest.fixture(scope="module")
def whole(tool):
    """The table of the tool's own grid."""
    records, _ = tool("study=grid")
    return table(
        {place: [one.val_loss for one in record.curve] for place, record in zip(places(records), records, strict=True)},
        {place: [e.val_accuracy for e in record.curve] for place, record in zip(places(records), records, strict=True)},
    )


@pytest.mark.parametrize(("prune", "seed"), [("hyperband", 3), ("overfit", 5)])
def test_a_replay_trains_what_the_tool_trains(tool, whole, prune, seed):
    search = ("study=search", "study.budget.epochs=72", f"prune={prune}", f"study.sampler_seed={seed}")
    real, study_id = tool(*search)
    played = strategies.replay(whole, Strategy("tpe", prune), seed, study_id)
    assert len(real) == 12
    assert places(played) == places(real)
    assert [len(one.curve) for one in played] == [len(one.curve) for one in real]
    assert {len(one.curve) for one in real} > {6}  # some were stopped
    for ours, theirs in zip(played, real, strict=True):
        assert (ours.state, ours.score) == (theirs.state, theirs.score)
        assert (ours.overfit_epoch, ours.overfit_reached) == (theirs.overfit_epoch, theirs.overfit_reached)


# what it costs, and what comes of it


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda one: one.name)
def test_no_point_is_trained_twice_and_every_epoch_is_on_the_table(strategy):
    made = hill()
    found = strategies.replay(made, strategy, 1)
    assert len(set(places(found))) == len(found) <= len(made.curves)
    for record, place in zip(found, places(found), strict=True):
        assert record.curve == made.curves[place][: len(record.curve)]
    if strategy.prune == "none":
        assert {len(one.curve) for one in found} == {9}


@pytest.mark.parametrize(
    "strategy",
    [Strategy(chooses, prune) for chooses in (GRID, SHUFFLED, "random", "tpe", "qmc") for prune in ("none", "overfit")],
    ids=lambda one: one.name,
)
def test_whoever_goes_through_the_whole_grid_finds_its_best_point(strategy):
    made = hill()
    found = strategies.replay(made, strategy, 2)
    assert sorted(places(found)) == sorted(PLACES)
    assert places(rank(found)[:1]) == [BEST]


def test_pruning_at_the_overfitting_point_changes_no_score_and_costs_what_it_says():
    made = hill()
    full, cut = (strategies.replay(made, Strategy(GRID, prune), 0) for prune in ("none", "overfit"))
    assert [one.score for one in cut] == [one.score for one in full]
    assert places(rank(cut)[:1]) == places(rank(full)[:1])
    assert spent(full) == made.spent == 9 * 12
    rises = [
        next((e.epoch for e, b in zip(c[1:], c, strict=False) if e.val_loss > b.val_loss), 9)
        for c in made.curves.values()
    ]
    assert [len(one.curve) for one in cut] == rises
    assert spent(cut) < spent(full)


def test_the_grid_keeps_its_order_and_a_shuffled_one_its_seed():
    made = hill()
    assert places(strategies.replay(made, Strategy(GRID), 5)) == PLACES
    first, again, other = (places(strategies.replay(made, Strategy(SHUFFLED), seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert first != PLACES


def test_lr_then_batch_trains_the_winning_rates_point_once():
    found = strategies.replay(hill(), Strategy(LR_BATCH), 0)
    assert places(found) == [(lr, 16) for lr in RATES] + [(1e-3, 8), (1e-3, 32)]


def test_hyperband_stops_bad_points_and_what_it_stops_too_early_is_no_candidate():
    made = hill()
    found = strategies.replay(made, Strategy("tpe", "hyperband"), 1)
    assert spent(found) < made.spent
    stopped = [one for one in found if one.state == "pruned"]
    assert stopped
    assert all(one.score == -math.inf for one in stopped if not one.overfit_reached)
    assert any(not one.overfit_reached for one in stopped)


def test_a_training_whose_loss_is_no_number_costs_its_epochs_and_has_no_score():
    losses = {(lr, size): [1.0, 0.9, 0.8] for lr, size in PLACES}
    losses[BEST] = [1.0, math.nan]
    made = table(losses)
    found = {place: one for one in strategies.replay(made, Strategy(GRID), 0) for place in places([one])}
    assert (found[BEST].state, len(found[BEST].curve), found[BEST].score) == ("diverged", 2, -math.inf)
    assert spent(list(found.values())) == made.spent == 3 * 11 + 2


def test_two_rates_alone_are_the_ends_of_a_range_and_refused():
    with pytest.raises(UserError, match="two learning rates"):
        strategies.replay(table({(1e-3, 8): [1.0], (1e-4, 8): [2.0]}), Strategy("tpe"), 0)


# regret


def test_regret_falls_at_the_end_of_a_training_and_what_has_no_score_costs_all_the_same():
    run = [(2, 0.5), (1, -math.inf), (2, 0.4), (1, 0.9)]
    assert regret(run, 0.9, 8) == pytest.approx([0.9, 0.9, 0.4, 0.4, 0.4, 0.4, 0, 0, 0])


def test_regret_is_gone_when_the_whole_grid_is_spent():
    made = hill()
    best = rank(strategies.replay(made, Strategy(GRID), 0))[0].score
    for strategy in (Strategy(GRID), Strategy("random", "overfit"), Strategy("tpe")):
        found = regret(replay.play(made, (strategy, 4)), best, made.spent)
        assert found[0] == best
        assert found[-1] == 0
        assert (np.diff(found) <= 0).all()


def test_a_difference_beyond_chance_needs_more_than_one_lucky_seed():
    drawn = random.Random(0)
    noise = np.array([drawn.gauss(0, 1) for _ in range(100)])
    low, high = difference(noise, noise + 1)
    assert low < -1 < high < 0
    low, high = difference(noise, np.roll(noise, 1))
    assert low < 0 < high
    assert difference(np.array([2.0]), np.array([1.0])) == (1.0, 1.0)  # neither knows a seed


# figures, pictures, words


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder of results of two tables."""
    folder = tmp_path_factory.mktemp("replayed")
    for name in ("one", "two"):
        made = hill(4)
        write(CurveTable({**made.about, "name": name, "data": f"data set {name}"}, made.curves), folder / "tables")
    arguments = ["--tables", str(folder / "tables"), "--results", str(folder / "results"), "--seeds", "3"]
    assert replay.main([*arguments, "--processes", "1"]) == 0
    return folder / "results"


def test_results_hold_every_strategy_at_every_checkpoint(results):
    found = replay_page.replayed(results)
    assert [one["table"] for one in found] == ["one", "two"]
    for strategy, one in zip(STRATEGIES, found[0]["strategies"], strict=True):
        assert one["name"] == strategy.name
        assert one["seeds"] == (3 if strategy.is_drawn else 1)
        assert list(one["at"]) == [f"{share}" for share in replay_page.CHECKPOINTS]
        assert all(at["low"] <= at["median"] <= at["high"] for at in one["at"].values())
    shuffled = found[0]["strategies"][1]
    assert (shuffled["name"], shuffled["at"]["100"]["mean"]) == (SHUFFLED, 0)
    assert {at["against_shuffled"] for at in shuffled["at"].values()} == {"same"}


def test_steps_and_picture_are_the_same_for_the_same_figures_at_any_number_of_processes(results, tmp_path):
    arguments = ["--tables", str(results.parent / "tables"), "--results", str(tmp_path), "--seeds", "3"]
    assert replay.main([*arguments, "--processes", "2"]) == 0
    for path in results.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    with (results / "replay-one.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(STRATEGIES) * (replay_page.SHARES + 1)
    picture = (results / "replay-one.svg").read_text(encoding="utf-8")
    assert all(strategy.name in picture for strategy in STRATEGIES)


def test_words_follow_the_figures(results):
    found = replay_page.replayed(results)
    at = found[0]["strategies"][3]["at"]["25"]
    for verdict, sign in replay_page.SIGNS.items():
        at["against_shuffled"] = verdict
        text = replay_page.in_short(found)
        assert f"{100 * at['mean']:.1f}{sign} / " in text
        line = next(line for line in text.splitlines() if line.startswith("- After 25%"))
        assert ("TPE (1/2)" in line) == (verdict != "same")
        assert (
            f"TPE{'' if verdict == 'same' else ' (1/2)'}"
            in line.split({"better": "less", "worse": "more", "same": "none"}[verdict])[1]
        )
        assert "TPE" in replay_page.in_short_korean(found)
    page = "\n".join(replay_page.section(found))
    assert page.count("![") == 2
    assert "| TPE |" in page


def test_without_results_nothing_is_claimed():
    assert "not measured" in replay_page.in_short([])
    assert list(replay_page.section([])) == []


def test_a_folder_without_tables_is_told(tmp_path):
    with pytest.raises(UserError, match="curve_tables"):
        replay.main(["--tables", str(tmp_path)])


def test_a_documents_part_is_written_anew_and_the_rest_stays(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("before\n<!-- from x -->\nold\n<!-- /from x -->\nafter\n", encoding="utf-8")
    publish.put_between(path, "x", "new\nlines")
    assert publish.between(path, "x") == "new\nlines"
    assert path.read_text(encoding="utf-8") == "before\n<!-- from x -->\nnew\nlines\n<!-- /from x -->\nafter\n"
    with pytest.raises(ValueError, match=r"a\.md has no part"):
        publish.put_between(path, "y", "")


def test_the_documents_say_what_was_replayed():
    found = replay_page.replayed()
    assert publish.between(replay_page.README, replay_page.MARK) == replay_page.in_short(found)
    assert publish.between(replay_page.README_KO, replay_page.MARK) == replay_page.in_short_korean(found)
    assert "\n".join(replay_page.section(found)) in summary.page(summary.read_results())
