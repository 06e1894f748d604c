"""The recipe's second step: what of the dialogues is left out, that they are learned, and the encoder that is left."""

from pathlib import Path

import pytest

from experiments.bundled_encoder.emotions import DIALOGUES, SAMPLE, read_columns, read_dialogues, resembling, teach
from sweeper import assets
from sweeper.errors import UserError

HEAD = "감정_대분류\t감정_소분류\t사람문장1\t사람문장2\t사람문장3"
SAID = "팀장이 내가 만든 기획안을 자기 이름으로 올렸어."


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return write(tmp_path / "sample.tsv", f"분노\t분노\t{SAID}\t정말 화가 나더라고.\t")


def test_a_sentence_that_says_what_another_does_resembles_it():
    texts = [
        "팀장이 내가 만든 기획안을, 자기 이름으로 올렸어!",
        "팀장이 내가 만든 보고서를 자기 이름으로 올렸어.",
        "딸이 처음으로 김치를 담갔는데 너무 짜서 웃음이 났어.",
    ]
    assert resembling(texts, [SAID, "짧다"]) == [True, True, False]
    assert resembling(["응", "짧다"], [SAID, "짧다"]) == [False, True]


def test_what_the_sample_says_and_what_was_said_before_is_left_out(tmp_path, sample):
    rows = f"기쁨\t신뢰하는\t{SAID}\t친구를 믿어.\t친구를 믿어!", "슬픔\t우울한\t비가 와서 우울해.\t친구를 믿어.\t"
    table, counts = read_dialogues(write(tmp_path / "own.tsv", *rows), sample)
    assert table[["사람문장1", "사람문장2", "사람문장3"]].to_numpy().tolist() == [
        ["", "친구를 믿어.", ""],
        ["비가 와서 우울해.", "", ""],
    ]
    assert counts == {"dialogues": 2, "sentences": 2, "left_out": 3}


def test_a_table_with_other_columns_is_named(tmp_path, sample):
    (tmp_path / "other.tsv").write_text("감정_소분류\t문장\n기쁨\t좋아\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"other\.tsv: no column 사람문장1, 사람문장2, 사람문장3"):
        read_dialogues(tmp_path / "other.tsv", sample)
    with pytest.raises(UserError, match="nowhere"):
        read_dialogues(tmp_path / "nowhere.tsv", sample)


def test_the_dialogues_have_the_samples_emotions_and_none_of_its_sentences():
    table, counts = read_dialogues(DIALOGUES, Path(assets.data_path(SAMPLE)))
    sample = read_columns(Path(assets.data_path(SAMPLE)))
    pairs = ["감정_대분류", "감정_소분류"]
    assert set(map(tuple, table[pairs].to_numpy())) == set(map(tuple, sample[pairs].to_numpy()))
    assert counts["left_out"] < counts["sentences"] / 50


def test_the_encoder_of_the_winner_is_left(tmp_path, tiny_encoder):
    emotions = ["기쁨", "슬픔"]
    rows = [f"{one}\t{one}\t{one} 문장 {i}번 {i * 7919}\t\t" for i in range(60) for one in emotions]
    settings = "train.epochs=1", "study.lr=[1e-3]", "train.batch_size=16", "launcher.workers=1", "progress=none"
    taught = teach(tiny_encoder, write(tmp_path / "own.tsv", *rows), tmp_path / "out", settings)
    assert (taught.lr, taught.batch_size, taught.epoch) == (1e-3, 16, 1)
    assert type(taught.encoder).__name__ == "BertModel"
    assert 0 <= taught.accuracy <= 1
