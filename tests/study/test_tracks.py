"""What a study tells tracking of its trials."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from records import CONFIG, of_seeds, record

from sweeper.study.configurations import settings_key
from sweeper.study.space import Point
from sweeper.study.tracks import Tracks
from sweeper.tracked import NoTracker, Run


class Listener(NoTracker):
    """Keeps what a trial's end was told with."""

    def finish(self, run, state, **told):
        self.told = told


@pytest.mark.parametrize(
    ("state", "reached", "logged"),
    [
        ("complete", True, True), ("complete", False, True), ("pruned", True, True),
        ("pruned", False, False), ("diverged", True, False),
    ],
)  # fmt: skip
def test_figures_at_the_overfitting_point_are_those_of_candidates(state, reached, logged):
    corpus = SimpleNamespace(fingerprint="d", card={})
    prepared = SimpleNamespace(name="made", study="lr", study_id="made/lr@1", config=CONFIG, corpus=corpus)
    listener = Listener()
    ended = replace(record(), state=state, overfit_reached=reached)
    Tracks(prepared, listener).end(ended, Run(), None)
    assert listener.told["at_overfit"] == (ended.at_overfit if logged else None)
    assert listener.told["tags"]["sweeper.overfit_epoch"] == "2"  # told in any case


def test_the_seeds_of_a_configuration_share_a_tag_and_have_one_each(tmp_path):
    class Tagged(NoTracker):
        def trial(self, study, key, name, params, tags):
            told.append(tags)

    told = []
    corpus = SimpleNamespace(fingerprint="d", card={})
    prepared = SimpleNamespace(
        name="made", study="lr", study_id="made/lr@1", config=CONFIG, corpus=corpus, precision="float32",
        trial_name=lambda point: point.key,
    )  # fmt: skip
    records = [*of_seeds(1e-3, {0: 0.5, 1: 0.5}), *of_seeds(1e-4, {0: 0.5})]
    for one in records:
        Tracks(prepared, Tagged()).begin(Point(one.key, one.varied, one.config))
    alone = Point("alone", {"lr": 1e-3, "batch_size": 64}, records[0].config)  # of a study without seeds
    Tracks(prepared, Tagged()).begin(alone)
    assert [tags["seed"] for tags in told] == ["0", "1", "0", "0"]
    first, second, other, same = [tags["configuration"] for tags in told]
    assert first == second == same == f"lr=0.001 bs=64 ({settings_key(records[0])})"
    assert other != first
