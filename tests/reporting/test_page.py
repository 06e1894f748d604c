import json
import re

import numpy as np
import pytest

from sweeper.report import make_report
from sweeper.reporting.page import number, script_json
from tests.reporting import fabricated
from tests.reporting.reader import Reader

MEGABYTES = 1e6


@pytest.fixture(scope="module")
def seen(page):
    return Reader(page)


def test_the_answer_comes_first_with_its_interval(seen, study):
    winner = study.records[0]
    answer = seen.text[: seen.text.index("All trials")]
    assert f"learning rate {winner.varied['lr']:g}" in answer
    assert f"epoch {winner.overfit_epoch}" in answer
    assert f"validation accuracy {winner.at_overfit.val_accuracy:.4f} 95% interval" in answer
    assert "The runner-up" in answer
    assert "exact McNemar test" in answer
    assert "cannot be told from the winner" in answer
    assert "TF-IDF" in answer


def test_every_trial_is_in_the_table_and_the_diverged_one_says_why(seen, study):
    for record in study.records:
        assert f"{record.at_overfit.val_loss:.4f}" in seen.text
    assert "diverged: loss is not finite in epoch 3" in seen.text


def test_sections_follow_one_another(seen):
    headings = [
        "The answer", "All trials", "Learning rate and batch size", "Curves", "The data", "The test split", "Cost",
        "How it was made",
    ]  # fmt: skip
    places = [seen.text.rindex(heading) for heading in headings]
    assert places == sorted(places)


def test_it_loads_nothing(seen, page):
    assert seen.loads == []
    assert "link" not in seen.tags
    assert "iframe" not in seen.tags
    assert "@import" not in page.split("<script")[0]
    assert "default-src 'none'" in page


def test_plotly_is_in_it_once_and_it_stays_small(page):
    assert page.count("plotly.js v") == 1
    assert len(page.encode()) < 6 * MEGABYTES


def test_what_users_named_cannot_be_markup(seen, page):
    assert len(seen.scripts) == 3  # figures, plotly, ours
    assert fabricated.EVIL in seen.text
    outside = page.replace(seen.scripts[1], "")
    assert fabricated.EVIL not in outside
    assert "alert(" not in seen.scripts[2]


def test_figures_are_json_that_a_script_element_can_hold(seen):
    figures = json.loads(seen.scripts[0])
    places = re.findall(r'data-figure="(\d+)"', "".join(f'data-figure="{n}"' for n in range(len(figures))))
    assert len(figures) == len(places) > 10
    assert "<" not in seen.scripts[0]
    assert "기쁨" in seen.scripts[0]


def test_script_json_escapes_and_refuses_what_is_not_json():
    assert json.loads(script_json(["</script>&"])) == ["</script>&"]
    assert "<" not in script_json(["</script>&"])
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])


def test_every_picture_has_a_place_and_a_caption(page):
    figures = json.loads(Reader(page).scripts[0])
    assert [int(n) for n in re.findall(r'data-figure="(\d+)"', page)] == list(range(len(figures)))
    assert page.count("<figcaption>") == len(figures)
    assert "<figcaption></figcaption>" not in page


def test_the_test_report_shows_classes_confusions_and_mistakes(seen):
    part = seen.text[seen.text.index("Each class") : seen.text.rindex("Cost")]
    for words in (*fabricated.LABELS, "precision", "support", "Largest confusions", "틀린 문장", "0.980"):
        assert words in part


def test_without_a_test_report_the_command_that_makes_it_is_named(regression_study):
    page = make_report(regression_study.runs, baseline=False).read_text(encoding="utf-8")
    assert "python -m sweeper.best --experiment numbers" in Reader(page).text


def test_a_regression_shows_losses_and_no_accuracies(regression_study):
    text = Reader(make_report(regression_study.runs).read_text(encoding="utf-8")).text
    assert "paired t-test" in text
    assert "ridge regression" in text
    for words in ("val acc", "macro F1", "McNemar", "validation accuracy"):
        assert words not in text


def test_one_trial_is_enough(study, tmp_path):
    fabricated.write_study(tmp_path, "one", [(2e-5, 64)], study.config)
    text = Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).text
    assert "There is no other complete trial" in text
    assert "nothing to draw" in text


def test_no_complete_trial_gives_a_page_without_a_winner(study, tmp_path):
    fabricated.write_study(tmp_path, "wild", [(5e-3, 64)], study.config)
    text = Reader(make_report(tmp_path).read_text(encoding="utf-8")).text
    assert "No trial is complete" in text
    assert "loss is not finite in epoch 3" in text


def test_a_failed_trial_without_an_epoch_is_named(study, tmp_path):
    record = fabricated.make_record(
        "0" * 32, [], data=study.corpus.fingerprint, config=study.config, state="failed", reason="out of memory"
    )
    folder = tmp_path / "broken" / "trials" / record.key
    folder.mkdir(parents=True)
    record.write(folder)
    text = Reader(make_report(tmp_path).read_text(encoding="utf-8")).text
    assert "failed: out of memory" in text
    assert "No epoch was finished" in text


def test_missing_predictions_are_said_and_intervals_compared(study, tmp_path):
    fabricated.write_study(tmp_path, "bare", [(2e-5, 64), (1e-6, 64)], study.config, keep=False)
    text = Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).text
    assert "Only intervals can be compared (validation predictions are missing)" in text
    assert "McNemar" not in text


def test_published_figures_stand_beside_ours(study, tmp_path, monkeypatch):
    fabricated.write_study(tmp_path / "runs", "known", [(2e-5, 64), (1e-6, 64)], study.config)
    (tmp_path / "experiments" / "known").mkdir(parents=True)
    block = "lr_study:\n- {lr: 2.0e-5, batch_size: 64, val_accuracy: 0.9}\nwinner: {test_accuracy: 0.23}\n"
    (tmp_path / "experiments" / "known" / "published.yaml").write_text(block)
    monkeypatch.chdir(tmp_path)
    text = Reader(make_report(tmp_path / "runs", baseline=False).read_text(encoding="utf-8")).text
    assert "Beside the published figures" in text
    assert "ours: also" not in text  # nothing else differs
    assert "test accuracy 0.23" in text


def test_two_hundred_trials_stay_light(study, tmp_path):
    settings = [(float(rate), size) for rate in np.logspace(-6, -2.3, 20) for size in range(16, 176, 16)]
    fabricated.write_study(tmp_path, "many", settings, study.config)
    page = make_report(tmp_path, baseline=False).read_text(encoding="utf-8")
    figures = json.loads(Reader(page).scripts[0])
    assert len(page.encode()) < 6 * MEGABYTES
    assert max(len(figure["data"]) for figure in figures) == 200  # all of them in one picture
    assert page.count('<figure class="small">') == 200  # and each in its own


def test_numbers_that_do_not_exist_are_dashes():
    assert [number(None), number(float("nan")), number(1234.5, 1)] == ["–", "–", "1,234.5"]
