"""`python -m sweeper.predict`: one row out for each row in, whatever goes in."""

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, pipeline

from sweeper.errors import UserError
from sweeper.inputs import read_texts
from sweeper.predict import main
from sweeper.prediction import Classifier, predict
from sweeper.training.classifier import load_classifier
from sweeper.training.forward import Forward

LABELS = ("기쁨", "슬픔", "보통")
TEXTS = ["기쁜 날 이다", "", "아주 아주 아주 아주 슬픈 영화", "영화", "   ", "나쁜 날 보고 싶다 " * 9]


def folder_of(place: Path, encoder: Path, labels: tuple[str, ...]) -> Path:
    model = load_classifier(
        str(encoder), label_names=labels, loss="cross_entropy" if labels else "mse", dropout=None,
        freeze_encoder=False, seed=0,
    )  # fmt: skip
    with torch.no_grad():
        model.classifier.weight.normal_(std=9.0, generator=torch.Generator().manual_seed(0))
    model.save_pretrained(place)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("frozen"), tiny_encoder, LABELS)


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_probabilities_are_those_of_the_pipeline(folder):
    asked = [text for text in TEXTS if text.strip()]
    expected = pipeline("text-classification", str(folder))(asked, truncation=True, top_k=None)
    for found, wanted in zip(Classifier(folder, precision="float32").predict(asked, 3), expected, strict=True):
        assert [label for label, _ in found.labels] == [one["label"] for one in wanted]
        np.testing.assert_allclose([value for _, value in found.labels], [one["score"] for one in wanted], atol=1e-5)


def test_every_row_has_an_answer_in_order_and_blank_ones_no_label(folder):
    found = list(predict(folder, TEXTS))
    assert [one.text for one in found] == TEXTS
    assert [bool(one.labels) for one in found] == [bool(text.strip()) for text in TEXTS]


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_the_chunk_size_changes_nothing(folder, chunk):
    classifier = Classifier(folder, precision="float32")
    whole = list(classifier.predict(TEXTS * 3, 3))
    parts = list(classifier.predict(TEXTS * 3, 3, chunk))
    for one, other in zip(whole, parts, strict=True):
        assert [label for label, _ in one.labels] == [label for label, _ in other.labels]
        np.testing.assert_allclose([v for _, v in one.labels], [v for _, v in other.labels], atol=1e-6)


def test_a_chunk_that_does_not_fit_into_memory_is_scored_in_smaller_batches(folder, monkeypatch):
    classifier = Classifier(folder, precision="float32")
    whole = list(classifier.predict(TEXTS * 3, 3))
    real = Forward.__call__

    def forward(self, batch):
        if len(batch.picked) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    monkeypatch.setattr(Forward, "__call__", forward)
    for one, other in zip(whole, classifier.predict(TEXTS * 3, 3), strict=True):
        assert [label for label, _ in one.labels] == [label for label, _ in other.labels]
        np.testing.assert_allclose([v for _, v in one.labels], [v for _, v in other.labels], atol=1e-6)


def test_texts_are_read_as_they_are_needed(folder):
    read: list[int] = []

    def endless():
        for number in range(10**9):
            read.append(number)
            yield "기쁜 날"

    stream = Classifier(folder).predict(endless(), 1, 8)
    next(stream)
    assert len(read) == 8


def test_csv_comes_out_with_a_header_and_ranked_labels(folder, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    assert main([str(folder), str(tmp_path / "in.txt"), "--top-k", "2"]) == 0
    header, *rows = rows_of(capsys.readouterr().out)
    assert header == ["text", "label", "probability", "label_2", "probability_2"]
    assert [row[0] for row in rows] == TEXTS
    assert rows[1] == ["", "", "", "", ""]
    assert float(rows[0][2]) >= float(rows[0][4]) > 0


def test_more_labels_than_there_are_is_all_of_them(folder, capsys):
    main([str(folder), "--text", "기쁜 날", "--top-k", "99"])
    assert len(rows_of(capsys.readouterr().out)[0]) == 1 + 2 * len(LABELS)


def test_jsonl_by_the_ending_of_the_output(folder, tmp_path):
    main(
        [str(folder), "--text", "기쁜 날", "--text", "슬픈 날", "--output", str(tmp_path / "out.jsonl"), "--top-k", "3"]
    )
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == ["기쁜 날", "슬픈 날"]
    assert sum(one["probability"] for one in rows[0]["labels"]) == pytest.approx(1, abs=1e-5)


def test_standard_input_is_read_line_by_line(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("기쁜 날\r\n\n슬픈 날"))
    main([str(folder), "-"])
    assert [row[0] for row in rows_of(capsys.readouterr().out)[1:]] == ["기쁜 날", "", "슬픈 날"]


def test_a_regression_gives_a_value(tiny_encoder, tmp_path, capsys):
    folder = folder_of(tmp_path / "numbers", tiny_encoder, ())
    main([str(folder), "--text", "기쁜 날", "--text", "", "--precision", "float32"])
    header, first, second = rows_of(capsys.readouterr().out)
    assert header == ["text", "value"]
    expected = pipeline("text-classification", str(folder), function_to_apply="none")("기쁜 날")[0]["score"]
    assert float(first[1]) == pytest.approx(expected, abs=1e-5)
    assert second == ["", ""]


def test_a_cut_off_run_leaves_no_output(folder, tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules[main.__module__], "_jsonl", broken)
    with pytest.raises(OSError, match="No space"):
        main([str(folder), "--text", "날", "--output", str(tmp_path / "out.jsonl")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--text", "x"], "no model folder"),
        (["FOLDER", "nowhere.txt"], "no such file"),
        (["FOLDER", "--text", "x", "--output", "out.xml"], "ending"),
        (["FOLDER", "--text", "x", "--output", "no/such/folder/out.csv"], "no folder"),
    ],
)
def test_a_mistake_is_told(arguments, told, folder):
    with pytest.raises(UserError, match=told):
        main([str(folder) if one == "FOLDER" else one for one in arguments])


@pytest.mark.parametrize("k", ["0", "-1", "x"])
def test_top_k_is_a_count(k, folder, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(folder), "--text", "x", "--top-k", k])
    assert ended.value.code == 2


WRITERS = {
    "in.csv": 'id,text\n1,기쁜 날\n2,\n3,"a, ""b""\nc"\n',
    "in.tsv": 'id\ttext\n1\t기쁜 날\n2\t\n3\t"a, ""b""\nc"\n',
    "in.jsonl": '{"id": 1, "text": "기쁜 날"}\n{"id": 2, "text": null}\n{"id": 3, "text": "a, \\"b\\"\\nc"}\n',
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_tables_are_read_by_their_ending_in_any_encoding(name, encoding, tmp_path):
    (tmp_path / name).write_text(WRITERS[name], encoding=encoding)
    assert list(read_texts(str(tmp_path / name))) == ["기쁜 날", "", 'a, "b"\nc']


def test_a_column_is_named_or_numbered_and_those_there_are_are_listed(tmp_path):
    (tmp_path / "in.csv").write_text("id,sentence\n1,기쁜 날\n")
    assert list(read_texts(str(tmp_path / "in.csv"), "sentence")) == ["기쁜 날"]
    assert list(read_texts(str(tmp_path / "in.csv"), "1", header=False)) == ["sentence", "기쁜 날"]
    for column in (None, "other"):
        with pytest.raises(UserError, match=r"--column.*'id', 'sentence'"):
            list(read_texts(str(tmp_path / "in.csv"), column))


def test_blank_lines_of_a_one_column_csv_are_rows(tmp_path):
    (tmp_path / "in.csv").write_text("sentence\na\n\nb\n")
    assert list(read_texts(str(tmp_path / "in.csv"))) == ["a", "", "b"]


def test_parquet_and_xlsx_are_read_too(tmp_path):
    import pandas as pd

    table = pd.DataFrame({"text": ["기쁜 날", None, "영화"]})
    table.to_parquet(tmp_path / "in.parquet")
    table.to_excel(tmp_path / "in.xlsx", index=False)
    for name in ("in.parquet", "in.xlsx"):
        assert list(read_texts(str(tmp_path / name))) == ["기쁜 날", "", "영화"]


def test_a_line_that_is_no_json_is_told_by_its_number(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\nb\n')
    with pytest.raises(UserError, match="line 2"):
        list(read_texts(str(tmp_path / "in.jsonl")))


def test_a_later_object_without_the_column_is_told(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"id": 1, "other": 2}\n')
    with pytest.raises(UserError, match="--column"):
        list(read_texts(str(tmp_path / "in.jsonl")))


def test_nothing_is_written_where_the_input_is_wrong(folder, tmp_path, capsys):
    (tmp_path / "in.csv").write_text("id,sentence\n1,기쁜 날\n")
    with pytest.raises(UserError, match="--column"):
        main([str(folder), str(tmp_path / "in.csv")])
    assert capsys.readouterr().out == ""


def test_a_wrong_column_is_told_before_the_model_is_loaded(folder, tmp_path, monkeypatch):
    (tmp_path / "in.csv").write_text("id,sentence\n1,기쁜 날\n")
    monkeypatch.setattr(sys.modules["sweeper.predict"], "Classifier", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(UserError, match="--column"):
        main([str(folder), str(tmp_path / "in.csv")])
