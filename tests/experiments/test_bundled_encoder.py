"""The recipe of the bundled encoder: what is left out, that it learns, goes on after a kill, and loads."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from experiments.bundled_encoder import __main__ as recipe
from experiments.bundled_encoder import compare
from experiments.bundled_encoder.corpus import SPECIAL, bare, open_corpus
from experiments.bundled_encoder.factors import SCALE, cooccurrence_vectors
from experiments.bundled_encoder.objectives import draw_masks
from experiments.bundled_encoder.pretraining import Pretraining, Settings, pretrain
from sweeper.data.tokens import load_tokenizer
from sweeper.errors import UserError
from sweeper.training.checkpoint import StateFiles
from sweeper.training.classifier import load_classifier

SECRET = "비밀이야"
GOOD, BAD = (
    ["정말 좋은 영화", "아주 좋은 배우", "좋은 날 좋은 영화"],
    ["정말 나쁜 영화", "아주 나쁜 배우", "나쁜 날 나쁜 영화"],
)
SMALL = Settings(
    layers=1, hidden=16, heads=2, vocabulary=120, batch_size=16, steps=12, stretches=3, lr=1e-2, device="cpu",
    precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """200 reviews, every tenth of which is in a file to leave out, written a little differently there."""
    folder = tmp_path_factory.mktemp("reviews")
    texts = [f"{(GOOD if i % 2 else BAD)[i % 3]} {i}" for i in range(200)]
    texts[::10] = [f"{SECRET} {i} Good" for i in range(0, 200, 10)]
    pq.write_table(pa.table({"text": texts, "rating": pa.array([9 if i % 2 else 2 for i in range(200)], pa.int8())}),
                   folder / "reviews.parquet")  # fmt: skip
    lines = ["id\tdocument\tlabel", *(f'{i}\t"{SECRET}   {i}, good!!\t1' for i in range(0, 200, 10)), "8\t\t0"]
    (folder / "left_out.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder / "reviews.parquet", [folder / "left_out.txt"]


@pytest.fixture(scope="module")
def corpus(files, tmp_path_factory):
    return open_corpus(*files, 120, tmp_path_factory.mktemp("corpus"))


def weights(training):
    return {name: tensor.clone() for name, tensor in training.model.state_dict().items()}


def test_texts_are_the_same_whatever_their_signs_and_case():
    assert bare(" 재밌다!! Ａ-b ") == bare("재밌다 AB") == "재밌다ab"


def test_what_is_left_out_is_in_no_objective(corpus):
    assert corpus.counts == {"read": 200, "forbidden": 21, "left_out": 20, "kept": 180}
    assert len(corpus.labels) == len(corpus.table.lengths) == 180
    assert set(corpus.labels.tolist()) == {1, 8}
    tokenizer = load_tokenizer(str(corpus.tokenizer))
    assert not [piece for piece in tokenizer.get_vocab() if set("비밀야") & set(piece)]
    read = tokenizer.decode(corpus.table.ids)
    assert "좋은 영화" in read
    assert SECRET not in read
    assert "[UNK]" not in read


def test_equal_texts_give_equal_pieces(files, corpus, tmp_path):
    again = open_corpus(*files, 120, tmp_path)
    assert (again.tokenizer / "tokenizer.json").read_bytes() == (corpus.tokenizer / "tokenizer.json").read_bytes()


def test_a_missing_file_is_named(files, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        open_corpus(tmp_path / "nowhere.parquet", files[1], 120, tmp_path)


def test_first_and_last_tokens_are_never_masked():
    ids, lengths = torch.arange(100, 130), np.array([3, 7, 20])
    masked = draw_masks(ids, lengths, 0.9, 200, np.random.default_rng(0))
    assert not set(masked.places.tolist()) & {0, 2, 3, 9, 10, 29}
    assert len(masked.places) > 15
    assert (masked.shown == SPECIAL.index("[MASK]")).sum() > len(masked.places) / 2
    assert len(draw_masks(ids, lengths, 0.0, 200, np.random.default_rng(0)).places) == 1


def test_words_of_the_same_neighbours_start_near_each_other(corpus):
    vectors = cooccurrence_vectors(corpus.table, np.arange(180), 120, 16, len(SPECIAL), seed=0)
    assert vectors.shape == (120, 16)
    assert not vectors[: len(SPECIAL)].any()
    assert vectors[vectors.any(1)].square().mean().sqrt() == pytest.approx(SCALE, rel=1e-3)


def test_it_learns_all_three_objectives(corpus):
    first, *_, last = pretrain(Pretraining(corpus, SMALL))
    for name in ("masked_loss", "label_loss", "words_loss"):
        assert last.held_out[name] < first.held_out[name]
    assert last.step == 12


def test_a_resumed_training_ends_with_the_same_weights(corpus, tmp_path):
    whole, states = Pretraining(corpus, SMALL), StateFiles(tmp_path)
    list(pretrain(whole))
    before = Pretraining(corpus, SMALL)
    states.save(1, (before.run_stretch(), before.state_dict())[1])
    after = Pretraining(corpus, SMALL, states.latest()[1])
    list(pretrain(after))
    torch.testing.assert_close(weights(after), weights(whole), rtol=0, atol=0)
    assert [one.held_out for one in after.curve] == [one.held_out for one in whole.curve]


def test_minutes_are_a_budget_too(corpus):
    training = Pretraining(corpus, Settings(**{**vars(SMALL), "steps": None, "minutes": 0.002, "stretches": 1}))
    assert training.lr == 0
    list(pretrain(training))
    assert training.step > 1
    assert training.seconds >= 0.12
    assert training.lr == 0


def test_one_command_makes_a_folder_that_transformers_loads(files, tmp_path, capsys):
    dialogues = tmp_path / "dialogues.tsv"
    said = "\n".join(f"기쁨\t신뢰하는\t{GOOD[i % 3]} {i}\t\t" for i in range(100))
    dialogues.write_text(f"감정_대분류\t감정_소분류\t사람문장1\t사람문장2\t사람문장3\n{said}\n", encoding="utf-8")
    settings = {name: value for name, value in vars(SMALL).items() if name in ("layers", "hidden", "heads", "steps")}
    flags = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    arguments = [
        str(files[0]), "--leave-out", str(files[1][0]), "--out", str(tmp_path / "made"), "--no-tracking",
        *flags, "--vocabulary", "120", "--device", "cpu", "--stretches", "2", "--dialogue-epochs", "1",
        "--dialogues", str(dialogues),
    ]  # fmt: skip
    recipe.main(arguments)
    assert "20 left out" in capsys.readouterr().out
    alone = AutoModelForSequenceClassification.from_pretrained(tmp_path / "made/reviews_alone", num_labels=3)
    assert [json.loads(line)["step"] for line in (tmp_path / "made/curve.jsonl").read_text().splitlines()] == [6, 12]
    folder = tmp_path / "made/encoder"
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    assert model.dtype == torch.float32
    assert not torch.equal(model.bert.pooler.dense.weight, alone.bert.pooler.dense.weight)
    assert model.config.hidden_dropout_prob == 0.1
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.tokenize("좋은 영화")
    ours = load_classifier(str(folder), label_names=["a", "b", "c"], loss="auto", dropout=None, freeze_encoder=False,
                           seed=0)  # fmt: skip
    torch.testing.assert_close(ours.bert.state_dict(), model.bert.state_dict())
    told = (folder / "README.md").read_text(encoding="utf-8")
    assert "12 steps of 256 reviews" in told
    assert "100 Korean dialogues" in told
    assert "2 steps of 64 sentences (1 epochs), 30% of the tokens masked" in told.replace("\n", " ")
    assert str(tmp_path / "made") not in told
    recipe.main(arguments)
    assert "step" not in capsys.readouterr().out
    with pytest.raises(UserError, match=r"lr was 0\.001, is 0\.5"):
        recipe.main([*arguments, "--lr", "0.5"])


def test_the_comparison_is_a_line_a_data_set_and_a_column_an_encoder():
    results = [
        compare.summed_up("sample", "TF-IDF", [0.2], [], 100), compare.summed_up("sample", "new", [0.3, 0.5], [], 100),
        compare.summed_up("other", "TF-IDF", [0.9], [], 1000),
    ]  # fmt: skip
    assert compare.table(results).splitlines() == [
        "| validation accuracy (95%) | rows | TF-IDF | new |",
        "|---|---|---|---|",
        "| sample | 100 | 0.200 (0.133–0.289) | 0.400 (0.309–0.498) |",
        "| other | 1,000 | 0.900 (0.880–0.917) | – |",
    ]


def test_a_comparison_trains_what_it_lacks(tiny_encoder, tiny_table, tmp_path, monkeypatch):
    def one_set(data):
        return {"tiny": ("data=table", f"data.path={data}")}

    trained = []

    def sweep(overrides):
        trained.append(overrides)
        point = type("Point", (), {"val_accuracy": 0.5})
        return type(
            "Sweep", (), {"winner": type("W", (), {"at_overfit": point, "config": {"optimizer": {"lr": 1e-3}}})}
        )

    monkeypatch.setattr(compare, "data_sets", one_set)
    monkeypatch.setattr(compare, "sweep", sweep)
    compare.main([f"tiny={tiny_encoder}", "--random", "tiny", "--data", str(tiny_table), "--runs", str(tmp_path)])
    assert len(trained) == 6
    found = json.loads((tmp_path / "compared.json").read_text())
    assert [one["encoder"] for one in found] == ["TF-IDF", "random start", "tiny"]
    assert (tmp_path / "compared.md").read_text().count("0.500") == 2


def test_tfidf_may_read_the_dialogues_too(tmp_path):
    overrides = compare.data_sets("unused")["sample, 6 emotions"]
    alone = compare.baseline("sample", overrides, "ko-mini", tmp_path)
    taught = compare.taught_baseline("sample", overrides, "ko-mini", tmp_path)
    assert (taught.rows, alone.rows) == (696, 696)
    assert taught.mean > alone.mean
