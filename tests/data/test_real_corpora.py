"""The corpora of the documents as they are distributed: every row arrives, none is glued or torn."""

from itertools import islice

import pytest

from sweeper.data import sources
from sweeper.data.corpus import load_corpus
from sweeper.data.settings import DataSettings

CORPORA = {
    "kor_hate/train.tsv": ({"text": "comments", "label": "hate"}, 7_896, {"none", "offensive", "hate"}),
    "kor_hate/dev.tsv": ({"text": "comments", "label": "contain_gender_bias"}, 471, {"True", "False"}),
    "kor_sarcasm/train.csv": ({"text": "tokens", "label": "label"}, 9_000, {"0", "1"}),  # on 9,019 lines
    "kor_sarcasm/test.csv": ({"text": "tokens", "label": "label"}, 301, {"0", "1"}),
    "kor_3i4k/fci_train_val.txt": ({"text": 1, "label": 0, "header": False, "quoting": False}, 55_134, set("0123456")),
    "kor_3i4k/fci_test.txt": ({"text": 1, "label": 0, "header": False, "quoting": False}, 6_121, set("0123456")),
    "kor_sae/sae4k_v1.txt": ({"text": 0, "label": 2, "header": False, "quoting": False}, 30_837, set("012345")),
    "nsmc/ratings_train.txt": ({"text": "document", "label": "label", "quoting": False}, 150_000, {"0", "1"}),
    "nsmc/ratings_test.txt": ({"text": "document", "label": "label", "quoting": False}, 50_000, {"0", "1"}),
}


@pytest.mark.parametrize("file", CORPORA)
def test_every_row_of_the_corpus_arrives(shared_data, read_rows, file):
    settings, count, labels = CORPORA[file]
    rows = read_rows(path=str(shared_data / file), **settings)
    assert len(rows) == count
    assert {label.strip() for _, label in rows} == labels


def test_the_byte_order_mark_is_no_part_of_the_first_sentence(shared_data, read_rows):
    rows = read_rows(path=str(shared_data / "kor_sae/sae4k_v1.txt"), **CORPORA["kor_sae/sae4k_v1.txt"][0])
    assert rows[0] == ("최근 한 달 동안 학교에서 메일이 온 적이 있는지 확인해줘", "0")


def test_reviews_in_parquet_are_streamed(shared_data):
    settings = DataSettings(path=str(shared_data / "naver_reviews/reviews.parquet"), text="text", label="rating")
    chunks = list(islice(sources.read(sources.plan(settings)[0], settings), 2))
    assert chunks[1].first_row == len(chunks[0].text) + 1
    assert set(chunks[0].label.to_pylist()) <= {str(rating) for rating in range(1, 11)}


def test_the_bundled_sample_is_the_shared_one(shared_data):
    of = {"source": "workbook", "label": "감정_소분류"}
    shared = DataSettings.of({**of, "path": str(shared_data / "emotion58_sample/dialogues.tsv")})
    bundled = DataSettings.of({**of, "path": "bundled:emotion58_sample/dialogues.tsv"})
    assert sources.fingerprint(shared) == sources.fingerprint(bundled)


def test_a_few_rows_of_nsmc_are_loaded_without_tokenising_all(shared_data, tmp_path):
    folder = shared_data / "nsmc"
    settings = DataSettings.of(
        {
            "train": str(folder / "ratings_test.txt"),
            "test": str(folder / "ratings_test.txt"),
            **CORPORA["nsmc/ratings_test.txt"][0],
            "overlap": "keep",
            "rows": {"train": 1000, "validation": 100, "test": 100, "shuffle_seed": 0},
        }
    )
    corpus = load_corpus(settings, "ko-mini", tmp_path)
    assert [len(split.rows) for split in (corpus.train, corpus.validation, corpus.test)] == [1000, 100, 100]
    assert len(corpus.table.lengths) <= 1200
    assert corpus.card["dropped"]["duplicates"] > 0
    assert corpus.card["rows_in"] == 100_000
