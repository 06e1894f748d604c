"""What ends a sweep on a terminal, in a file, and with seeds."""

import io

from records import of_seeds, record
from rich.console import Console

from sweeper.study.configurations import configurations
from sweeper.study.printed import print_results


def lines(records, width: int = 80, **more) -> list[str]:
    into = io.StringIO()
    print_results(Console(file=into, width=width), configurations(records), "made · lr study", **more)
    return into.getvalue().splitlines()


def test_in_a_file_every_trial_has_one_line_however_much_differs():
    one, other = of_seeds(1e-3, {0: 0.25}), of_seeds(1e-4, {0: 0.75})
    other[0].config["train"].update(epochs=4, momentum=0.5, clip_norm=1.0)
    rows = [line for line in lines([*one, *other]) if "complete" in line]
    assert len(rows) == 2
    assert "★" in rows[0]
    assert "train.epochs=4" in rows[0]


def test_several_seeds_are_one_row_with_their_mean_and_the_trials_behind_it_can_be_had():
    trials = [*of_seeds(1e-3, {0: 0.7, 1: 0.8}), *of_seeds(1e-4, {0: 0.2, 1: "diverged"})]
    text = "\n".join(lines(trials))
    assert "0.7500" in text
    assert "0.6353" in text  # t(1) = 12.71 times 0.05
    assert "seed 1 diverged" in text
    assert "Student's t" in text
    assert len([line for line in lines(trials, trials=True) if "seed=" in line]) == 4


def test_an_overfitting_point_that_was_not_reached_is_starred_and_the_star_explained():
    from dataclasses import replace

    trials = of_seeds(1e-3, {0: 0.7, 1: 0.8})
    assert "*" not in "".join(lines(trials))
    text = "\n".join(lines([trials[0], replace(trials[1], overfit_reached=False)]))
    assert " 2* " in text
    assert "*: in some seed validation loss never rose" in text


def test_without_a_score_no_row_is_marked():
    assert "★" not in "".join(lines([record(state="diverged", overfit=None)]))
