"""Freezing: what is written loads, scores the same, and is never half there."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    pipeline,
)

from sweeper import export
from sweeper.data.corpus import Corpus, DataSettings, load_corpus
from sweeper.data.tokens import load_tokenizer
from sweeper.errors import UserError
from sweeper.export import Trained, freeze
from sweeper.restore import restore
from sweeper.training.checkpoint import save_weights
from sweeper.training.classifier import load_classifier

LABELS = {3: ("기쁨", "슬픔", "보통"), 2: ("싫음", "좋음"), 0: ()}
LOSS = {3: "cross_entropy", 2: "bce", 0: "mse"}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpora(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Corpus]:
    """A corpus of 3 classes, 2 classes, or (0) values."""
    made: dict[int, Corpus] = {}
    words = ["정말", "좋은", "나쁜", "영화", "슬픈", "기쁜", "날"]

    def corpus(classes: int) -> Corpus:
        if classes not in made:
            folder = tmp_path_factory.mktemp(f"classes{classes}")
            labels = LABELS[classes] or ("0.5", "-1.25", "2.0")
            rows = [
                f"{' '.join(words[(i * k) % 7] for k in (1, 2, 3))} {i},{labels[i % len(labels)]}" for i in range(80)
            ]
            (folder / "rows.csv").write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
            task = "classification" if classes else "regression"
            settings = DataSettings.of({"path": str(folder / "rows.csv"), "task": task, "max_length": 12})
            made[classes] = load_corpus(settings, str(tiny_encoder), folder / "cache")
        return made[classes]

    return corpus


def weights_of(folder: Path, model: str, classes: int) -> Path:
    """The weights of a classifier whose head is far from zero, as a trial keeps them."""
    classifier = load_classifier(
        model, label_names=sorted(LABELS[classes]), loss=LOSS[classes], dropout=None, freeze_encoder=False, seed=1
    )
    with torch.no_grad():
        for name, parameter in classifier.named_parameters():
            if "classifier" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(2))
    path = folder / "weights.safetensors"
    save_weights(path, classifier)
    return path


def trained(folder: Path, model: Path, corpus: Corpus, classes: int) -> Trained:
    weights = weights_of(folder, str(model), classes)
    names = corpus.label_names
    return Trained(restore(weights, model=str(model), label_names=names, loss="auto", dropout=None), str(model), CPU)


@pytest.mark.parametrize("classes", [3, 2, 0])
def test_a_frozen_model_is_one_that_pipelines_load_and_score_alike(classes, tiny_encoder, corpora, tmp_path):
    corpus = corpora(classes)
    winner = trained(tmp_path, tiny_encoder, corpus, classes)
    scored = winner.score(corpus, corpus.validation)
    freeze(tmp_path / "out", winner, corpus, predictions=scored.predictions, files={"README.md": "# card 카드"})
    given = pipeline("text-classification", str(tmp_path / "out"))(
        corpus.texts(corpus.validation.rows), truncation=True
    )
    if classes:
        assert [one["label"] for one in given] == [corpus.label_names[i] for i in scored.predictions]
        np.testing.assert_allclose([one["score"] for one in given], scored.probabilities.max(1), atol=1e-5)
    else:
        np.testing.assert_allclose([one["score"] for one in given], scored.predictions, atol=1e-5)
    assert (tmp_path / "out/README.md").read_text(encoding="utf-8") == "# card 카드"
    assert (tmp_path / "out/model.safetensors").stat().st_mode == (tmp_path / "out/config.json").stat().st_mode
    assert not list(tmp_path.glob(".*"))


def test_the_tokenizer_cuts_at_the_length_of_the_training(tiny_encoder, corpora, tmp_path):
    corpus = corpora(3)
    freeze(tmp_path / "out", trained(tmp_path, tiny_encoder, corpus, 3), corpus, predictions=None, files={})
    assert load_tokenizer(str(tmp_path / "out")).model_max_length == 12


def test_an_encoder_that_takes_fewer_tokens_than_asked_for_cuts_where_it_ends(tiny_encoder, tmp_path):
    rows = [f"{'정말 좋은 ' * 30}{i},{LABELS[3][i % 3]}" for i in range(80)]  # 62 tokens, the encoder has 32 positions
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    settings = DataSettings.of({"path": str(tmp_path / "rows.csv"), "max_length": 64})
    corpus = load_corpus(settings, str(tiny_encoder), tmp_path / "cache")
    freeze(tmp_path / "out", trained(tmp_path, tiny_encoder, corpus, 3), corpus, predictions=None, files={})
    assert load_tokenizer(str(tmp_path / "out")).model_max_length == 32


def test_no_path_of_this_machine_is_in_the_folder(tiny_encoder, corpora, tmp_path):
    corpus = corpora(3)
    freeze(tmp_path / "out", trained(tmp_path, tiny_encoder, corpus, 3), corpus, predictions=None, files={})
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*.json")]
    assert not any(str(tiny_encoder) in text or str(tmp_path) in text for text in texts)


@pytest.mark.parametrize("content", ["folder", "file"])
def test_a_target_that_is_taken_is_refused_and_left_alone(content, tiny_encoder, corpora, tmp_path):
    target = tmp_path / "out"
    if content == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        target.write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        freeze(target, trained(tmp_path, tiny_encoder, corpora(3), 3), corpora(3), predictions=None, files={})
    assert (target / "mine.txt" if content == "folder" else target).read_text() == "mine"


def test_an_empty_folder_is_taken(tiny_encoder, corpora, tmp_path):
    (tmp_path / "out").mkdir()
    freeze(tmp_path / "out", trained(tmp_path, tiny_encoder, corpora(3), 3), corpora(3), predictions=None, files={})
    assert json.loads((tmp_path / "out/config.json").read_text())["model_type"] == "bert"


def test_a_full_disk_leaves_nothing_behind(tiny_encoder, corpora, tmp_path, monkeypatch):
    winner = trained(tmp_path, tiny_encoder, corpora(3), 3)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(winner.classifier, "save_pretrained", full)
    with pytest.raises(UserError, match="No space left on device"):
        freeze(tmp_path / "exports/out", winner, corpora(3), predictions=None, files={})
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tiny_encoder, corpora, tmp_path):
    (tmp_path / "exports").write_text("a file")
    winner = trained(tmp_path, tiny_encoder, corpora(3), 3)
    with pytest.raises(UserError, match="cannot be written"):
        freeze(tmp_path / "exports/out", winner, corpora(3), predictions=None, files={})


def test_weights_that_are_not_those_of_the_record_are_not_frozen(tiny_encoder, corpora, tmp_path):
    corpus = corpora(3)
    winner = trained(tmp_path, tiny_encoder, corpus, 3)
    other = (winner.score(corpus, corpus.validation).predictions + 1) % 3
    with pytest.raises(RuntimeError, match="recorded predictions"):
        freeze(tmp_path / "out", winner, corpus, predictions=other, files={})
    assert not (tmp_path / "out").exists()


def test_a_folder_that_scores_differently_when_loaded_is_not_kept(tiny_encoder, corpora, tmp_path, monkeypatch):
    corpus = corpora(3)
    winner = trained(tmp_path, tiny_encoder, corpus, 3)
    write = export._write

    def damaged(folder: Path, *rest: object) -> None:
        with torch.no_grad():
            winner.classifier.classifier.bias += torch.tensor([5.0, 0.0, 0.0])
            write(folder, *rest)
            winner.classifier.classifier.bias -= torch.tensor([5.0, 0.0, 0.0])

    monkeypatch.setattr(export, "_write", damaged)
    with pytest.raises(RuntimeError, match="off by"):
        freeze(tmp_path / "out", winner, corpus, predictions=None, files={})
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_test_report_has_figures_confusions_and_the_surest_mistakes(tiny_encoder, corpora, tmp_path):
    corpus = corpora(3)
    winner = trained(tmp_path, tiny_encoder, corpus, 3)
    report = export.test_report(winner, corpus)
    scored = winner.score(corpus, corpus.test)
    assert report["rows"] == len(corpus.test.rows)
    assert report["accuracy"] == np.mean(scored.predictions == corpus.test.labels)
    assert sum(map(sum, report["confusion"])) == report["rows"]
    surest = [one["probability"] for one in report["mistakes"]]
    assert surest == sorted(surest, reverse=True)
    assert 0 < len(surest) <= 20
    texts = dict(zip(corpus.texts(corpus.test.rows), corpus.test.labels, strict=True))
    for one in report["mistakes"]:
        assert corpus.label_names[texts[one["text"]]] == one["truth"] != one["prediction"]
    assert json.loads(json.dumps(report)) == report


def test_the_test_report_of_a_regression_has_errors_and_no_classes(tiny_encoder, corpora, tmp_path):
    corpus = corpora(0)
    report = export.test_report(trained(tmp_path, tiny_encoder, corpus, 0), corpus)
    assert report["loss"] == pytest.approx(report["mse"], rel=1e-4)
    assert {"mae", "r2"} <= set(report)
    assert "accuracy" not in report


def test_without_a_test_row_there_is_no_report(tiny_encoder, corpora, tmp_path):
    from dataclasses import replace

    from sweeper.data.tokens import Split

    corpus = corpora(3)
    empty = replace(corpus, test=Split(np.array([], np.int64), np.array([], np.int64)))
    assert export.test_report(trained(tmp_path, tiny_encoder, corpus, 3), empty) is None
