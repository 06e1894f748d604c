"""A sweep beside its training: what the coordinator's notes come to, a sweep played back, and what was recorded."""

import json
from pathlib import Path

import pytest

from bench import scale, scale_page
from bench.publish import read_results
from bench.summary import page
from sweeper.errors import UserError

TRIALS = 40


def notes(growing: float = 0.0) -> dict:
    """A sweep of 40 trials of two epochs; a trial costs a tenth of a second, and `growing` more than the one before."""
    spent, ends = 0.0, []
    for number in range(TRIALS):
        spent += 0.1 + growing * number
        ends.append((float(number), spent, 100.0))
    return {
        "began": 0.0, "ended": 80.0, "peak_mib": 123.4, "ends": ends,
        "events": [("epoch", 0.01, 0.01)] * (2 * TRIALS) + [("ended", 0.03, 0.03), ("step", 0.01, 0.01)] * TRIALS,
        "delivered": {"epoch": [(0.02, 0.01)] * TRIALS, "begin": [(0.05, 0.01)] * TRIALS, "study": [(0.4, 0.1)]},
    }  # fmt: skip


def test_an_epoch_is_the_main_threads_time_and_trackings() -> None:
    assert scale.figures(notes(), TRIALS)["epoch_seconds"] == pytest.approx(0.01 + 0.02 / 2)


def test_a_trial_is_everything_else() -> None:
    assert scale.figures(notes(), TRIALS)["trial_seconds"] == pytest.approx(0.03 + 0.01 + 0.05 + 0.4 / TRIALS)


def test_growth_tells_a_cost_that_does_not_grow_from_one_that_does() -> None:
    assert scale.figures(notes(), TRIALS)["growth"] == pytest.approx(1.0)
    assert scale.figures(notes(growing=0.01), TRIALS)["growth"] > 2


def test_the_course_ends_at_the_last_trial() -> None:
    assert scale.figures(notes(), TRIALS)["course"][-1] == (TRIALS, 100.0)


def test_a_sweep_that_lost_trials_is_no_measurement() -> None:
    seen = notes()
    with pytest.raises(RuntimeError, match="20 of 40"):
        scale.figures({**seen, "ends": seen["ends"][:20]}, TRIALS)


@pytest.mark.parametrize("wrong", ["1000", "x8", "1000x0", "5x1", "axb"])
def test_a_size_that_is_none_is_told(wrong: str) -> None:
    with pytest.raises(UserError, match="1000x8"):
        scale.parse(["--only", wrong])


def test_a_sweep_played_back_leaves_what_the_commands_read() -> None:
    found = scale.measure(20, 2)
    assert found["epochs"] == 20 * scale.EPOCHS
    assert all(found["commands"][name] > 0 for name in scale.COMMANDS)
    assert found["mib"]["mlflow"] > 0
    line = "\n".join(scale_page.section([found]))
    assert "| 20 | 2 |" in line


RECORDED = scale_page.scaled(read_results())


@pytest.mark.parametrize("name", sorted(scale.ALLOWED))
def test_every_recorded_size_is_within_its_target(name: str) -> None:
    for result in RECORDED:
        assert result[name] <= result["allowed"][name], (result["trials"], result["workers"])


def test_the_page_shows_every_recorded_size(tmp_path: Path) -> None:
    results = {f"scale-{number}": json.loads(json.dumps(result)) for number, result in enumerate(RECORDED)}
    text = page(results)
    for result in RECORDED:
        assert f"| {result['trials']:,} | {result['workers']} | {1000 * result['epoch_seconds']:.1f} ms |" in text
