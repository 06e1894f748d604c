import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sweeper.data import corpus as corpus_module
from sweeper.data import sources
from sweeper.data.corpus import Corpus, DataSettings, load_corpus, short_card
from sweeper.data.tokens import load_tokenizer
from sweeper.errors import UserError

SAMPLE = {"source": "workbook", "path": "bundled:emotion58_sample/dialogues.tsv", "label": "감정_소분류"}


@pytest.fixture
def load(tmp_path, tiny_encoder):
    """Load a corpus with the tiny encoder's tokenizer into the test's own cache."""

    def load(report=lambda _: None, **settings):
        return load_corpus(
            DataSettings.of({"max_length": 16, **settings}), str(tiny_encoder), tmp_path / "cache", report
        )

    return load


@pytest.fixture
def table(write):
    """A csv of (text, label) rows."""

    def table(rows, name="a.csv"):
        return write(name, "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))

    return table


def many(count, label=lambda row: row % 2):
    return [(f"영화 {row}", label(row)) for row in range(count)]


def test_the_sample_has_its_rows_classes_and_splits(tmp_path):
    corpus = load_corpus(DataSettings.of(SAMPLE), "ko-mini", tmp_path)
    assert [len(split.rows) for split in (corpus.train, corpus.validation, corpus.test)] == [2088, 696, 696]
    assert (len(corpus.label_names), corpus.task) == (58, "classification")
    assert corpus.card["dropped"]["missing_text"] == 120
    assert corpus.card["rows_in"] == 3600
    assert len(corpus.table.offsets) == 3481


def test_rows_labels_and_texts_belong_together(load, table, tiny_encoder):
    kinds = ["나쁜", "좋은"]
    corpus = load(path=table([(f"{kinds[row % 2]} 영화 {row}", kinds[row % 2]) for row in range(50)]))
    tokenizer = load_tokenizer(str(tiny_encoder))
    for split in (corpus.train, corpus.validation, corpus.test):
        texts = corpus.texts(split.rows)
        assert [text.split()[0] for text in texts] == [corpus.label_names[label] for label in split.labels]
        for row, text in zip(split.rows, texts, strict=True):
            ids = corpus.table.ids[corpus.table.offsets[row] : corpus.table.offsets[row + 1]]
            assert ids.tolist() == tokenizer(text)["input_ids"]


def test_a_second_start_reads_and_tokenises_nothing(load, table, monkeypatch):
    path = table(many(40))
    first = load(path=path)

    def never(*_):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(corpus_module, "write_rows", never)
    monkeypatch.setattr(corpus_module, "write_tokens", never)
    again = load(path=path)
    assert (again.folder, again.fingerprint, again.card) == (first.folder, first.fingerprint, first.card)
    assert again.train.rows.tolist() == first.train.rows.tolist()


def test_another_split_or_limit_reads_and_tokenises_nothing(load, table, monkeypatch):
    path = table(many(40))
    first = load(path=path)
    monkeypatch.setattr(corpus_module, "write_rows", None)
    monkeypatch.setattr(corpus_module, "write_tokens", None)
    other = load(path=path, split={"seed": 1}, rows={"train": 20}, overlap="keep")
    assert other.fingerprint != first.fingerprint
    assert len(other.train.rows) == 20


@pytest.mark.parametrize("lost", ["rows", "tokens", "corpus"])
def test_a_lost_part_of_the_cache_is_made_again(load, table, tmp_path, lost):
    import shutil

    path = table(many(40))
    first = load(path=path)
    (folder,) = (tmp_path / "cache").glob(f"{lost}-*")
    shutil.rmtree(folder)
    again = load(path=path)
    assert again.folder == first.folder
    assert again.texts(again.train.rows) == first.texts(first.train.rows)


def test_changed_content_is_a_new_corpus_and_a_moved_file_is_not(load, table):
    first = load(path=table(many(40)))
    assert load(path=table(many(40), "moved/b.csv")).fingerprint == first.fingerprint
    assert load(path=table(many(41))).fingerprint != first.fingerprint


def test_fingerprint_is_that_of_the_data_not_of_the_tokenizer(load, table, tmp_path):
    path = table(many(40))
    tiny = load(path=path)
    mini = load_corpus(DataSettings.of({"max_length": 16, "path": path}), "ko-mini", tmp_path / "cache")
    assert mini.fingerprint == tiny.fingerprint
    assert mini.folder != tiny.folder
    assert mini.table.ids.max() != tiny.table.ids.max()


def test_a_small_part_of_much_data_is_tokenised_alone(load, table):
    path = table(many(200))
    corpus = load(path=path, rows={"train": 10, "validation": 5, "test": 5, "shuffle_seed": 1})
    assert len(corpus.table.lengths) == 20
    whole = load(path=path, rows={"train": 100, "validation": 40, "test": 40, "shuffle_seed": 1})
    assert len(whole.table.lengths) == 200
    for split, all_of in zip((corpus.train, corpus.test), (whole.train, whole.test), strict=True):
        assert corpus.texts(split.rows) == whole.texts(all_of.rows)[: len(split.rows)]
        assert split.labels.tolist() == all_of.labels[: len(split.rows)].tolist()
        expected = [whole.table.ids[whole.table.offsets[r] : whole.table.offsets[r + 1]].tolist() for r in all_of.rows]
        for row, ids in zip(split.rows, expected, strict=False):
            assert corpus.table.ids[corpus.table.offsets[row] : corpus.table.offsets[row + 1]].tolist() == ids


def test_every_row_is_dropped_for_a_reason_or_stands_in_a_split(load, table):
    train = [*many(60), ("영화 1", 0), ("영화 2", 0), ("", 1), ("  ", 1), ("끝", ""), ("셋", 3)]
    test = [("영화 5", 1), ("새 영화", 0), ("새 영화", 0)]
    corpus = load(train=table(train, "train.csv"), test=table(test, "test.csv"), labels=["0", "1"], rows={"train": 30})
    card = corpus.card
    assert card["dropped"] == {
        "missing_text": 1, "blank_text": 1, "missing_label": 1, "unknown_labels": 1,
        "duplicates": 2, "conflicts": 1, "overlap": 1, "row_limits": 14,
    }  # fmt: skip
    assert card["rows"] == {"train": 30, "validation": 15, "test": 2}
    assert card["rows_in"] == 69 == sum(card["dropped"].values()) + sum(card["rows"].values())
    assert card["unknown_labels"] == {"3": 1}
    assert 5 <= len(short_card(card).splitlines()) <= 8


def test_train_and_test_are_cleaned_apart_and_overlap_may_be_kept(load, table):
    train, test = table(many(40), "train.csv"), table([("영화 5", 0), ("영화 6", 0)], "test.csv")
    kept = load(train=train, test=test, overlap="keep")
    assert kept.card["dropped"]["conflicts"] == 0
    assert [len(s.rows) for s in (kept.train, kept.validation, kept.test)] == [30, 10, 2]
    dropped = load(train=train, test=test)
    assert dropped.card["dropped"]["overlap"] == 2
    assert dropped.texts(dropped.test.rows) == ["영화 5", "영화 6"]
    assert not {"영화 5", "영화 6"} & set(dropped.texts(dropped.train.rows) + dropped.texts(dropped.validation.rows))


def test_kept_duplicates_may_not_stand_in_two_splits(load, table):
    corpus = load(path=table(many(40) * 3), duplicates="keep")
    texts = [set(corpus.texts(split.rows)) for split in (corpus.train, corpus.validation, corpus.test)]
    assert sum(map(len, texts)) == len(set.union(*texts))
    assert corpus.card["dropped"]["overlap"] > 0 == corpus.card["dropped"]["duplicates"]


def test_a_dialogue_stays_on_one_side(tmp_path):
    corpus = load_corpus(DataSettings.of(SAMPLE | {"split": {"group": "dialogue"}}), "ko-mini", tmp_path)
    dialogue_of = np.repeat(np.arange(1200), 3)[: len(corpus.table.lengths) + 120]
    texts = sources.read(sources.plan(DataSettings.of(SAMPLE))[0], DataSettings.of(SAMPLE))
    rows = [text for chunk in texts for text in chunk.text.to_pylist()]
    of_text = {text: dialogue for text, dialogue in zip(rows, dialogue_of, strict=True) if text}
    sides = [{of_text[t] for t in corpus.texts(s.rows)} for s in (corpus.train, corpus.validation, corpus.test)]
    assert list(map(len, sides)) == [720, 240, 240]
    assert len(set.union(*sides)) == 1200


def test_regression_has_float_labels_and_no_classes(load, table):
    corpus = load(path=table([(f"글 {row}", row / 4) for row in range(20)]), task="regression")
    assert corpus.train.labels.dtype == np.float32
    assert (corpus.label_names, corpus.task, corpus.card["classes"]) == ((), "regression", 0)
    by_text = dict(zip(corpus.texts(corpus.train.rows), corpus.train.labels.tolist(), strict=True))
    assert all(value == int(text.split()[1]) / 4 for text, value in by_text.items())


def test_an_explicit_label_order_gives_the_ids(load, table):
    corpus = load(path=table([(f"글 {row}", ["a", "b"][row % 2]) for row in range(20)]), labels=["b", "c", "a"])
    assert corpus.label_names == ("b", "c", "a")
    assert set(corpus.train.labels.tolist()) == {0, 2}


def test_truncation_is_counted_on_the_card(load, table):
    corpus = load(path=table([("아주 " * (row + 1), row % 2) for row in range(20)]))
    full = np.arange(20) + 3
    assert corpus.card["tokens"]["longest"] == 22
    assert corpus.card["tokens"]["rows_truncated"] == (full > 16).sum()
    assert corpus.card["tokens"]["tokens_truncated"] == (full - 16).clip(0).sum()
    assert corpus.table.lengths.max() == 16


def test_one_class_only_is_refused_and_sorted_data_under_a_limit_too(load, table):
    with pytest.raises(UserError, match=r"train holds one class only, '1', in 12 rows; .*data\.label"):
        load(path=table(many(20, lambda row: 1)))
    by_class = table(many(40, lambda row: row // 20), "sorted.csv")
    test = table([("끝", 0)], "test.csv")
    given = {"train": by_class, "validation": test, "split": {"train": 0.8, "validation": 0.2, "test": 0.0}}
    with pytest.raises(UserError, match=r"data\.rows\.shuffle_seed"):
        load(**given, rows={"train": 10})
    assert len(load(**given, rows={"train": 10, "shuffle_seed": 0}).train.rows) == 10


def test_a_class_with_too_few_rows_to_stratify_is_named(load, table):
    rows = [*many(40), ("하나", 2), ("둘", 2)]
    with pytest.raises(UserError, match=r"fewer than 3 rows: '2' \(2\)"):
        load(path=table(rows), split={"stratify": True})
    assert load(path=table([*rows, ("셋", 2), ("넷", 2), ("다섯", 2)]), split={"stratify": True}).card["classes"] == 3


def test_a_label_that_is_not_given_is_an_error_where_asked_for(load, table):
    with pytest.raises(UserError, match=r"a\.csv, row 2: the label '1' is not in data\.labels"):
        load(path=table(many(20)), labels=["0", "2"], unknown_labels="error")


def test_a_bad_number_names_file_and_row(load, table):
    with pytest.raises(UserError, match=r"a\.csv, row 3: the label 'x' is no finite number"):
        load(path=table([("가", 1), ("나", 2), ("다", "x")]), task="regression")


def test_overlap_that_empties_train_is_told(load, table):
    with pytest.raises(UserError, match="no row is left for train"):
        load(train=table(many(20), "a.csv"), validation=table(many(20), "b.csv"), split={"test": 0.0})


def test_an_error_leaves_no_half_cache(load, table, tmp_path):
    with pytest.raises(UserError, match="no column"):
        load(path=table(many(20)), text="sentence")
    assert list((tmp_path / "cache").iterdir()) == []


def test_ignored_splits_and_slow_steps_are_reported(load, table, monkeypatch):
    monkeypatch.setattr(corpus_module, "REPORT_SECONDS", -1.0)
    said = []
    path = table(many(20))
    load(said.append, path=path, train="elsewhere.csv")
    assert said == [
        "data.path is set: data.train, data.validation and data.test are not read",
        f"reading {path}",
        "tokenising: 20 of 20 rows",
    ]


def test_a_worker_opens_the_corpus_without_text_tokenizer_or_libraries(load, table):
    folder = load(path=table(many(40))).folder
    code = (
        "import sys; from pathlib import Path; from sweeper.data.corpus import Corpus;"
        "corpus = Corpus.open(Path(sys.argv[1])); assert len(corpus.train.rows) == 24;"
        "heavy = {'transformers', 'datasets', 'sklearn', 'pandas', 'torch', 'optuna', 'mlflow'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=root)


def test_two_builds_at_once_give_one_whole_cache(load, table, tmp_path):
    path = table(many(300))
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: load(path=path), range(2))
    assert one.folder == two.folder
    assert one.texts(one.train.rows) == two.texts(two.train.rows)
    kinds = sorted(folder.name.split("-")[0] for folder in (tmp_path / "cache").iterdir())
    assert kinds == ["corpus", "rows", "tokens"]


def test_an_opened_corpus_is_the_built_one(load, table):
    built = load(path=table(many(40)))
    opened = Corpus.open(built.folder)
    assert (opened.fingerprint, opened.card, opened.label_names) == (built.fingerprint, built.card, built.label_names)
    np.testing.assert_array_equal(opened.table.ids, built.table.ids)
