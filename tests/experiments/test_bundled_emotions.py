"""The recipe's second step: what of the dialogues is left out, that they are learned, and the encoder that is left."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel

from experiments.bundled_encoder.corpus import MAX_LENGTH
from experiments.bundled_encoder.emotions import DIALOGUES, SAMPLE, read_columns, read_dialogues, resembling, teach
from experiments.bundled_encoder.pretraining import Pretraining, Settings, Stretch
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


@pytest.fixture(scope="module")
def first_step(tmp_path_factory) -> Path:
    """An encoder of the shape below with the bundled tokenizer, as the first step leaves it."""
    folder = tmp_path_factory.mktemp("encoder")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(assets.encoder("ko-mini")) / name, folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    BertModel(BertConfig(vocab_size=8000, max_position_embeddings=MAX_LENGTH, **shape)).save_pretrained(folder)
    return folder


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
    with pytest.raises(UserError, match=r"other\.tsv: no column 감정_대분류, 사람문장1, 사람문장2, 사람문장3"):
        read_dialogues(tmp_path / "other.tsv", sample)
    with pytest.raises(UserError, match="nowhere"):
        read_dialogues(tmp_path / "nowhere.tsv", sample)


def test_the_dialogues_have_the_samples_emotions_and_none_of_its_sentences():
    table, counts = read_dialogues(DIALOGUES, Path(assets.data_path(SAMPLE)))
    sample = read_columns(Path(assets.data_path(SAMPLE)))
    pairs = ["감정_대분류", "감정_소분류"]
    assert set(map(tuple, table[pairs].to_numpy())) == set(map(tuple, sample[pairs].to_numpy()))
    assert counts["left_out"] < counts["sentences"] / 50


@pytest.fixture
def emotions(tmp_path: Path) -> Path:
    """60 sentences of two emotions each, told apart by a word."""
    said = (("기쁨", "영화"), ("슬픔", "정말"))
    rows = [f"{one}\t{one}\t{word} {i}번 {i * 7919}\t\t" for i in range(60) for one, word in said]
    return write(tmp_path / "own.tsv", *rows)


SMALL = Settings(layers=2, hidden=32, heads=2, lr=1e-2, masked=0.3, device="cpu", precision="float32")


def test_the_encoder_goes_on_from_the_first_step_and_learns_the_emotions(tmp_path, emotions, first_step):
    seen: list[Stretch] = []
    taught = teach(first_step, emotions, tmp_path / "out", SMALL, 4, lambda training: seen.append(training.curve[-1]))
    assert [one.step for one in seen] == [2, 4, 6, 8]
    assert seen[-1].train["label_loss"] < seen[0].train["label_loss"]
    assert taught.counts == {"dialogues": 120, "sentences": 120, "left_out": 0}
    before = AutoModel.from_pretrained(first_step, dtype=torch.float32).state_dict()
    after = taught.encoder.state_dict()
    assert after.keys() == before.keys()
    assert not torch.equal(after["pooler.dense.weight"], before["pooler.dense.weight"])


def test_a_killed_second_step_ends_with_the_same_weights(tmp_path, emotions, first_step):
    def killed(training: Pretraining) -> None:
        if training.step == 4:
            raise KeyboardInterrupt

    whole = teach(first_step, emotions, tmp_path / "whole", SMALL, 3, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        teach(first_step, emotions, tmp_path / "killed", SMALL, 3, killed)
    seen: list[int] = []
    after = teach(first_step, emotions, tmp_path / "killed", SMALL, 3, lambda training: seen.append(training.step))
    assert seen == [6]
    torch.testing.assert_close(after.encoder.state_dict(), whole.encoder.state_dict(), rtol=0, atol=0)


def test_another_setting_is_not_mixed_with_what_was_begun(tmp_path, emotions, first_step):
    teach(first_step, emotions, tmp_path, SMALL, 1, lambda _: None)
    with pytest.raises(UserError, match=r"lr was 0\.01, is 0\.1"):
        teach(first_step, emotions, tmp_path, replace(SMALL, lr=0.1), 1, lambda _: None)
