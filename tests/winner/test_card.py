"""What an export says: a configuration that another machine can use, and the cut that the model was trained with."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from sweeper.config import compose, from_plain, plain
from sweeper.study.configurations import Configuration, configurations
from sweeper.study.record import TrialRecord
from sweeper.training.metrics import EpochMetrics
from sweeper.winner import card
from sweeper.winner.card import frozen_config, summary


def winner(*overrides: str) -> TrialRecord:
    """A complete trial of a configuration."""
    epoch = EpochMetrics(1, 1.1, 1.0, 0.5, 0.5, 0.5, 1e-3, 2.0, 100.0)
    return TrialRecord(
        key="k", state="complete", config=plain(compose(["study=single", *overrides])), varied={}, data="d",
        curve=(epoch,), overfit_epoch=1, overfit_reached=True, threads=1, device="cpu", precision="float32",
    )  # fmt: skip


def alone(trial: TrialRecord) -> list[Configuration]:
    """Its configuration, of one seed."""
    return configurations([trial])


def of_seeds(lr: str, *scores: float) -> list[TrialRecord]:
    """Trials of one configuration, of which seed n has the n-th score."""
    made = []
    for seed, score in enumerate(scores):
        one = winner(f"optimizer.lr={lr}", f"train.seed={seed}")
        curve = tuple(replace(epoch, val_accuracy=score) for epoch in one.curve)
        varied = {"lr": float(lr), "batch_size": 64, "seed": seed}
        made.append(replace(one, key=f"{lr}-{seed}", varied=varied, curve=curve))
    return made


def frozen(*overrides: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(frozen_config(winner(*overrides)))
    return values


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (("data.path=/home/me/my rows.csv",), {"path": "./my rows.csv"}),
        (("data.path=/home/me/emotions/*.xlsx",), {"path": "./*.xlsx"}),
        (("data.path=data/rows.csv",), {"path": "data/rows.csv"}),
        (("data.train=/home/me/a.tsv", "data.test=/home/me/b.tsv"), {"train": "./a.tsv", "test": "./b.tsv"}),
        (("data.train=/x/a/rows.csv", "data.test=/x/b/rows.csv"), {"train": "./a/rows.csv", "test": "./b/rows.csv"}),
        (("data.train=/x/a/rows.csv", "data.test=b.csv"), {"train": "./rows.csv", "test": "b.csv"}),
    ],
)
def test_of_an_absolute_place_only_what_tells_it_apart_is_frozen(given, places):
    data = frozen("data=table", *given)["data"]
    assert {key: data[key] for key in ("path", "train", "validation", "test") if data[key]} == places


def test_places_that_name_no_folder_of_a_machine_stay():
    config = frozen()
    assert (config["data"]["path"], config["model"]) == ("bundled:emotion58_sample/dialogues.tsv", "ko-mini")


def test_a_folder_of_an_encoder_is_not_taken_for_a_hub_id_or_a_bundled_name():
    given = winner("model=/home/me/ko-mini")
    assert yaml.safe_load(frozen_config(given))["model"] == summary(alone(given), None)["model"] == "./ko-mini"
    assert card._base(given) == "ko-mini"
    assert "base_model" not in card._front(winner("model=/bert"))


def test_where_results_go_is_left_open():
    config = frozen("paths.runs=/home/me/runs", "paths.exports=/home/me/exports", "storage=sqlite:////home/me/x.db")
    assert (config["paths"], config["storage"]) == ({"runs": "runs", "exports": "exports"}, None)


def test_what_has_to_be_put_beside_it_is_told_and_nothing_else():
    assert "#   ./rows.csv\n" in frozen_config(winner("data=table", "data.path=/home/me/rows.csv"))
    assert frozen_config(winner()).count("#") == 1


def test_the_card_tells_the_cut_of_the_training_not_the_one_that_was_asked_for():
    assert "cut at 160 tokens" in card._use({"settings": {"max_length": 512}, "tokens": {"max_length": 160}})


def test_a_test_figure_that_is_not_the_splits_only_use_is_not_called_so():
    report = {"rows": 8, "accuracy": 0.5}
    assert "read once for this model." in card._test(report, ())
    before = replace(winner(), varied={"lr": 0.001, "batch_size": 64})
    assert "and for another winner before it (lr=0.001 bs=64)" in card._test(report, [before])


def test_what_a_cluster_has_trained_is_trained_again_on_one_machine():
    values = frozen("launcher=ray", "launcher.address=head.lab:6379", "launcher.num_cpus=4")
    launcher = from_plain(values).launcher
    assert (launcher.name, launcher.address, launcher.num_cpus, launcher.threads) == ("local", None, None, 1)
    assert frozen("launcher.workers=3")["launcher"]["workers"] == 3


CARD = {
    "classes": 2, "files": [], "rows_in": 3, "dropped": {}, "rows": {}, "fingerprint": "d", "settings": {},
    "tokens": {"longest": 3, "rows_truncated": 0, "max_length": 16}, "balance": {"train": {"a": 1, "b": 2}},
}  # fmt: skip


def test_of_several_seeds_the_card_says_whose_weights_it_has_and_what_the_others_came_to():
    ranked = configurations([*of_seeds("1e-3", 0.4, 0.6, 0.5), *of_seeds("1e-4", 0.4, 0.5, 0.5)])
    text = card.model_card(ranked, CARD, None)
    assert "0.5000 ± 0.2484 over 3 seeds (95% interval 0.2516 to 0.7484)" in text
    assert "seed 1, **the best of its seeds** (seed 0 0.4000, seed 1 0.6000, seed 2 0.5000)" in text
    assert "Cannot be told from it, seed by seed: lr=0.0001 bs=64" in text
    assert "as the mean over a configuration's seeds, wins" in text
    assert "best of 3 seeds" in text[text.index("## Limits") :]
    assert "One seed:" not in text
    told = summary(ranked, None)
    assert (told["key"], told["seed"], told["over_seeds"]["scored_seeds"]) == ("1e-3-1", 1, 3)


def test_of_one_seed_it_says_nothing_of_means():
    text = card.model_card(alone(of_seeds("1e-3", 0.4)[0]), CARD, None)
    assert "## Seeds" not in text
    assert "One seed: differences" in text
    assert "Best validation accuracy there wins." in text
    assert summary(alone(of_seeds("1e-3", 0.4)[0]), None)["over_seeds"] is None
