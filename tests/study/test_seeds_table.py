"""The table of configurations and the words about them."""

from dataclasses import replace

from records import of_seeds
from rich.console import Console

from sweeper.study.configurations import configurations, standings
from sweeper.study.seeds_table import (
    epochs_text,
    plain_seeds,
    seeds_markdown,
    seeds_table,
    standing_text,
    told_apart_lines,
    winner_lines,
)

TRIALS = [
    *of_seeds(2e-5, {0: 0.70, 1: 0.72, 2: 0.71}),
    *of_seeds(1.25e-06, {0: 0.70, 1: 0.69, 2: 0.72}),
    *of_seeds(1e-3, {0: 0.60, 1: 0.62, 2: 0.61}),
    *of_seeds(5e-3, {0: 0.70, 1: "diverged", 2: "diverged"}),
    *of_seeds(3e-3, {0: "diverged", 1: "failed"}),
    *of_seeds(1e-2, {0: 0.11}),
]


def printed(width: int) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(seeds_table(configurations(TRIALS)))
    return console.export_text().splitlines()


def test_it_fits_a_terminal_of_80_columns():
    lines = printed(80)
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    [first] = [line for line in lines if "★" in line and "winner" in line]
    assert first.split()[:6] == ["★", "2e-05", "64", "3", "0.7100", "0.0248"]
    assert [line.split()[:3] for line in lines if "1 of 3" in line] == [["0.005", "64", "1"]]


def test_every_configuration_stands_somewhere():
    found = {one.configuration.best.varied["lr"]: standing_text(one) for one in standings(configurations(TRIALS))}
    assert found == {
        2e-5: "winner",
        1.25e-06: "cannot be told apart",
        1e-3: "worse",
        1e-2: "not compared: one seed",
        5e-3: "not compared: seed 1 diverged, seed 2 diverged",
        3e-3: "seed 0 diverged, seed 1 failed",
    }


def test_the_winner_is_told_with_every_seed_its_interval_and_whose_weights_it_has():
    first, *middle, last = winner_lines(configurations(TRIALS))
    assert first.startswith(
        "Winner: lr=2e-05 bs=64, val acc 0.7100 ± 0.0248 over 3 seeds (95% interval 0.6852 to 0.7348)"
    )
    assert first.endswith("seed 0 0.7000, seed 1 0.7200, seed 2 0.7100")
    assert last.startswith("Its weights are those of seed 1, its best: overfitting epoch: 2")
    assert middle == told_apart_lines(configurations(TRIALS))
    assert middle[0].startswith(
        "Cannot be told from it, seed by seed: lr=1.25e-06 bs=64 (0.0067 behind, 95% interval -"
    )
    assert middle[1].startswith("Worse than it, seed by seed: lr=0.001 bs=64 (0.1000 behind")
    assert middle[2].startswith("Not compared: lr=0.01 bs=64 (one seed); lr=0.005 bs=64 (seed 1 diverged, seed 2")


def test_a_winner_of_one_seed_is_told_as_a_trial():
    [line] = winner_lines(configurations(of_seeds(1e-3, {0: 0.5})))
    assert line.startswith("Winner: lr=0.001 bs=64 seed=0, overfitting epoch: 2, train loss")


def test_epochs_are_a_span():
    first, second = of_seeds(1e-3, {0: 0.5, 1: 0.5})
    assert epochs_text(configurations([first, second])[0]) == "2"
    later = replace(second, overfit_epoch=3, overfit_reached=False)
    assert epochs_text(configurations([first, later])[0]) == "2–3*"
    assert epochs_text(configurations([replace(first, overfit_epoch=None, state="diverged")])[0]) == "–"


def test_what_else_differs_is_said_but_not_the_seed():
    sgd = of_seeds(1e-4, {0: 0.6, 1: 0.7})
    sgd = [replace(one, config={**one.config, "optimizer": {**one.config["optimizer"], "name": "sgd"}}) for one in sgd]
    text = seeds_markdown(configurations([*TRIALS[:3], *sgd]))
    assert "optimizer.name=sgd" in text
    assert "train.seed" not in text
    assert "also" not in seeds_markdown(configurations(TRIALS))
    assert {line.count("|") for line in text.splitlines()} == {12}


def test_a_regression_shows_its_loss_once():
    ranked = configurations(of_seeds(1e-3, {0: 0.25, 1: 0.75}, regression=True))
    head, _, row = seeds_markdown(ranked).splitlines()
    assert head.count("val loss") == 1
    assert "val acc" not in head
    assert "| 0.5000 |" in row
    assert winner_lines(ranked)[0].startswith("Winner: lr=0.001 bs=64, val loss 0.5000 ±")


def test_as_values_it_names_each_seeds_trial():
    first, *_, last = plain_seeds(configurations(TRIALS[:3] + TRIALS[9:11]))
    assert first["seeds"] == {"0": "2e-05-0", "1": "2e-05-1", "2": "2e-05-2"}
    assert first["interval"][0] < first["mean"] < first["interval"][1]
    assert (first["verdict"], first["lead"], first["also"]) == ("winner", None, "")
    assert (last["verdict"], last["scored_seeds"], last["interval"]) == ("unknown", 1, None)
