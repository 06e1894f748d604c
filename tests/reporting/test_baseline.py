import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.bundled_encoder.emotions import EMOTION, SAMPLE, SENTENCES, read_columns
from sweeper import assets
from sweeper.reporting import baseline
from sweeper.reporting.baseline import PRECISION, find_baseline, train_baseline


@pytest.fixture
def untrainable(monkeypatch):
    def fail(*_arguments, **_settings):
        raise AssertionError("trained though it need not be")

    monkeypatch.setattr(baseline, "train_baseline", fail)


def test_it_learns_what_characters_tell(study):
    found = find_baseline(study.corpus, study.runs / study.name, True)
    assert found.accuracy > 0.9
    assert len(found.predictions) == len(study.corpus.validation.rows)
    labels = np.asarray(study.corpus.validation.labels)
    assert np.mean(np.array(found.predictions) == labels) == pytest.approx(found.accuracy)


def test_it_is_kept_and_not_trained_again(study, tmp_path, monkeypatch):
    first = find_baseline(study.corpus, tmp_path, None)
    monkeypatch.setattr(baseline, "train_baseline", None)
    assert find_baseline(study.corpus, tmp_path, None) == first
    assert json.loads((tmp_path / f"baseline-{study.corpus.fingerprint}.json").read_text())["seconds"] == first.seconds


def test_a_damaged_file_is_made_anew(study, tmp_path):
    path = tmp_path / f"baseline-{study.corpus.fingerprint}.json"
    path.write_text("{")
    assert find_baseline(study.corpus, tmp_path, None).accuracy > 0.9
    assert json.loads(path.read_text())["accuracy"] > 0.9


@pytest.mark.usefixtures("untrainable")
def test_no_means_no(study, tmp_path):
    assert find_baseline(study.corpus, tmp_path, False) is None


@pytest.mark.usefixtures("untrainable")
def test_large_data_is_left_alone_unless_asked(study, tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "MOST_ROWS", 10)
    assert find_baseline(study.corpus, tmp_path, None) is None
    with pytest.raises(AssertionError, match="trained"):
        find_baseline(study.corpus, tmp_path, True)


def test_the_test_split_is_not_read(study, tmp_path, monkeypatch):
    read = []
    texts = type(study.corpus).texts
    monkeypatch.setattr(type(study.corpus), "texts", lambda self, rows: read.extend(rows) or texts(self, rows))
    find_baseline(replace(study.corpus), tmp_path, True)
    assert read
    assert not set(read) & set(study.corpus.test.rows)


def test_a_regression_gets_ridge_regression():
    texts = [f"{'가' * (number % 5)}나 {number}" for number in range(60)]
    values = np.array([number % 5 for number in range(60)], dtype=np.float32)
    found = train_baseline(texts[:40], values[:40], texts[40:], values[40:], regression=True)
    assert found.accuracy is None
    assert found.loss < values.var()


def test_a_class_that_training_never_saw_costs_without_failing():
    texts = ["좋은 영화", "나쁜 영화", "아주 좋은 날", "아주 나쁜 날"]
    found = train_baseline(texts, np.array([0, 1, 0, 1]), ["좋은", "슬픈"], np.array([0, 2]), regression=False)
    assert found.accuracy == 0.5
    assert np.isfinite(found.loss)


def test_it_is_solved_to_its_end(monkeypatch):
    table = read_columns(Path(assets.data_path(SAMPLE)))
    texts, labels = table[SENTENCES[0]].tolist(), np.unique(table[EMOTION[0]], return_inverse=True)[1]

    def predictions(precision):
        monkeypatch.setattr(baseline, "PRECISION", precision)
        found = train_baseline(texts[:800], labels[:800], texts[800:], labels[800:], regression=False)
        return np.array(found.predictions)

    wanted = predictions(1e-9)
    own = predictions(PRECISION)
    assert np.mean(own != wanted) <= 0.005
    assert np.mean(predictions(1e-3) != wanted) > 0.01  # which is why it is not stopped there
