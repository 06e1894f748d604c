"""Which weights are kept: those of whoever may still win."""

import json
from dataclasses import replace

import pytest
from records import of_seeds

from sweeper.study.losers import Losers
from sweeper.study.record import WEIGHTS


@pytest.fixture
def kept(tmp_path):
    """The trials that keep their weights of those that have ended."""

    def kept(ended, *studies, asked=()):
        for record in ended:
            (tmp_path / record.key).mkdir(exist_ok=True)
            record.write(tmp_path / record.key)
            (tmp_path / record.key / WEIGHTS).write_bytes(b"weights")
        lists = tmp_path / "lists"
        lists.mkdir(exist_ok=True)
        for number, study in enumerate(studies):
            (lists / f"{number}.json").write_text(json.dumps(study))
        Losers(tmp_path, lists, lambda: asked).drop(ended)
        return sorted(path.parent.name for path in tmp_path.glob(f"*/{WEIGHTS}"))

    return kept


def study(trials, seeds=None):
    return {
        "config": {"train": {"seed": 0}, "study": {"seeds": seeds}},
        "trials": {one.key: dict(one.varied) for one in trials},
    }


def test_of_single_seeds_the_best_trial_of_each_study(kept):
    trials = [of_seeds(10.0**-place, {0: score})[0] for place, score in enumerate((0.3, 0.9, 0.5), 1)]
    assert kept(trials, study(trials), study([trials[0], trials[2]])) == ["0.001-0", "0.01-0"]


def test_of_several_the_best_seed_of_the_best_mean(kept):
    trials = [*of_seeds(1e-3, {0: 0.9, 1: 0.1}), *of_seeds(1e-4, {0: 0.6, 1: 0.7})]
    assert kept(trials, study(trials, 2)) == ["0.0001-1"]


def test_the_best_of_the_seeds_that_a_command_asks_for_stays_beside_the_best_of_all(kept):
    trials = [*of_seeds(1e-3, {0: 0.5, 1: 0.9, 7: 0.6}), *of_seeds(1e-4, {0: 0.3, 1: 0.2, 7: 0.1})]
    asked = [one.key for one in trials if not one.key.endswith("-1")]
    assert kept(trials, study(trials, [0, 7]), asked=asked) == ["0.001-1", "0.001-7"]


def test_seeds_that_meet_by_chance_are_a_configuration_too(kept):
    trials = [*of_seeds(1e-3, {0: 0.9, 1: 0.1}), *of_seeds(1e-4, {0: 0.6, 1: 0.7})]
    assert kept(trials, study(trials)) == ["0.0001-1"]  # as a search has them that varies the seed


def test_from_a_second_seed_on_the_means_decide(tmp_path):
    trials, lists = tmp_path / "trials", tmp_path / "lists"
    first, second = of_seeds(1e-3, {0: 0.3, 1: 0.9}), of_seeds(1e-4, {0: 0.6})
    lists.mkdir()
    (lists / "search@1.json").write_text(json.dumps(study([*first, *second])))
    losers, stayed = Losers(trials, lists), []
    for record in (first[0], second[0], first[1]):
        (trials / record.key).mkdir(parents=True)
        record.write(trials / record.key)
        (trials / record.key / WEIGHTS).write_bytes(b"weights")
        losers.drop([record])
        stayed.append(sorted(path.parent.name for path in trials.glob(f"*/{WEIGHTS}")))
    assert stayed == [["0.001-0"], ["0.0001-0"], ["0.0001-0"]]  # the last is the best trial, but not of the best mean


def test_a_configuration_that_lacks_seeds_may_still_win(kept):
    first, second = of_seeds(1e-3, {0: 0.5, 1: 0.6, 2: 0.4}), of_seeds(1e-4, {0: 0.1, 1: 0.2, 2: 0.9})
    listed = study([*first, *second], 3)
    assert kept([*first, *second[:2]], listed) == ["0.0001-1", "0.001-1"]
    assert kept([*first, *second], listed) == ["0.001-1"]


def test_with_the_seeds_of_all_studies_together_another_may_be_the_best(kept):
    one, other = of_seeds(1e-3, {0: 0.9, 1: 0.1, 2: 0.1, 3: 0.2}), of_seeds(1e-4, {0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5})
    studies = study([*one[:2], *other[:2]], 2), study([*one[:1], *other[:1]]), study([*one, *other], 4)
    assert kept([*one, *other], *studies) == ["0.0001-0", "0.001-0"]  # the latter won the study of single seeds


def test_what_was_kept_for_all_trials_stays(kept):
    trials = [of_seeds(lr, {0: score})[0] for lr, score in ((1e-3, 0.3), (1e-4, 0.9))]
    asked = replace(
        trials[0], config={**trials[0].config, "train": {**trials[0].config["train"], "keep_weights": "all"}}
    )
    assert kept([asked, trials[1]], study(trials)) == ["0.0001-0", "0.001-0"]
