"""What a study tells tracking of its trials."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from records import CONFIG, record

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
