from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.data.cleaning import ClassNames, Numbers, clean, drop_overlap, hash_texts, labels_of, resolve_repeats
from sweeper.data.settings import DataSettings
from sweeper.data.tables import Chunk
from sweeper.errors import UserError


def chunk(texts, labels, groups=None, first_row=1):
    of = None if groups is None else pa.array(groups, pa.string())
    return Chunk("a.csv", first_row, pa.array(texts, pa.string()), pa.array(labels, pa.string()), of)


def test_each_reason_is_counted_and_the_first_one_counts():
    texts = ["좋아", None, "", " \u3000\t", "나빠", "흠", "그래", None]
    fit = clean(chunk(texts, ["1", "1", "1", "0", None, " ", "3", None]), ClassNames(["0", "1"], "drop"))
    assert fit.text.to_pylist() == ["좋아"]
    assert fit.labels.tolist() == [1]
    assert fit.dropped == Counter(missing_text=2, blank_text=2, missing_label=2, unknown_labels=1)


def test_texts_stay_as_they_are_and_labels_lose_blanks():
    labels = ClassNames(None, "drop")
    fit = clean(chunk([" 가 ", "나"], ["기쁨 ", "기쁨"]), labels)
    assert fit.text.to_pylist() == [" 가 ", "나"]
    assert labels.ordered()[0] == ("기쁨",)


def test_class_ids_are_sorted_and_numbers_by_value_whatever_comes_first():
    labels = ClassNames(None, "drop")
    codes = clean(chunk(list("abcd"), ["10", "9", "b", "a"]), labels).labels
    names, ids = labels.ordered()
    assert names == ("9", "10", "a", "b")
    assert ids[codes].tolist() == [1, 0, 3, 2]


def test_codes_hold_across_chunks():
    labels = ClassNames(None, "drop")
    codes = [clean(chunk(["x", "y"], pair), labels).labels for pair in (["b", "a"], ["c", "b"])]
    names, ids = labels.ordered()
    assert [names[i] for i in ids[np.concatenate(codes)]] == ["b", "a", "c", "b"]


def test_a_given_order_gives_the_ids_and_counts_the_unknown_by_name():
    labels = ClassNames(["none", "hate"], "drop")
    fit = clean(chunk(list("abcd"), ["hate", "none", "3", "3"]), labels)
    assert labels.ordered()[0] == ("none", "hate")
    assert fit.labels.tolist() == [1, 0]
    assert labels.unknown == Counter({"3": 2})


def test_a_label_that_is_not_given_is_an_error_where_asked_for():
    with pytest.raises(UserError, match=r"a\.csv, row 13: the label '3' is not in data\.labels \(0, 1\)"):
        clean(chunk(["a", None, "c"], ["0", "1", "3"], first_row=11), ClassNames(["0", "1"], "error"))


def test_a_label_given_twice_is_refused():
    with pytest.raises(UserError, match="twice"):
        ClassNames(["a", "a "], "drop")


def test_regression_labels_are_numbers():
    fit = clean(chunk(list("abc"), ["1", " -2.5 ", None]), Numbers())
    assert fit.labels.tolist() == [1.0, -2.5]
    assert fit.dropped["missing_label"] == 1


@pytest.mark.parametrize("bad", ["good", "nan", "inf", "1,5"])
def test_a_bad_number_names_file_and_row(bad):
    with pytest.raises(UserError, match=rf"a\.csv, row 103: the label '{bad}' is no finite number"):
        clean(chunk(["a", None, "c", "d"], ["1", "2", bad, "x"], first_row=101), Numbers())


def test_an_unknown_task_is_refused():
    with pytest.raises(UserError, match="classification or regression"):
        labels_of(DataSettings(task="ranking"))


def test_equal_groups_share_a_hash_and_rows_without_one_stand_alone():
    groups = clean(chunk(list("abcd"), ["1"] * 4, ["g", None, "g", None]), ClassNames(None, "drop")).groups
    assert groups is not None
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_hashes_do_not_change_from_machine_to_machine():
    assert hash_texts(pa.array(["가", ""])).tolist() == [17229482795899991505, 3244421341483603138]


def resolve(texts, labels, duplicates="drop", conflicts="keep_first"):
    keep, counts = resolve_repeats(hash_texts(pa.array(texts)), np.array(labels), duplicates, conflicts)
    assert len(texts) == keep.sum() + counts.total()
    return keep.tolist(), dict(counts)


def test_the_first_of_equal_rows_stays():
    assert resolve("aba", [0, 1, 0]) == ([True, True, False], {"duplicates": 1, "conflicts": 0})
    assert resolve("aba", [0, 1, 0], duplicates="keep") == ([True] * 3, {"duplicates": 0, "conflicts": 0})


def test_of_a_text_under_two_labels_the_first_stays_or_none():
    assert resolve("abaa", [0, 1, 1, 0]) == ([True, True, False, False], {"duplicates": 1, "conflicts": 1})
    assert resolve("abaa", [0, 1, 1, 0], conflicts="drop") == (
        [False, True, False, False],
        {"duplicates": 0, "conflicts": 3},
    )
    assert resolve("aaa", [0, 1, 0], duplicates="keep") == ([True, False, True], {"duplicates": 0, "conflicts": 1})
    assert resolve("abaa", [0, 1, 1, 0], conflicts="keep") == (
        [True, True, True, False],
        {"duplicates": 1, "conflicts": 0},
    )
    assert resolve("abaa", [0, 1, 1, 0], duplicates="keep", conflicts="keep") == (
        [True] * 4,
        {"duplicates": 0, "conflicts": 0},
    )


def test_no_rows_resolve_to_no_rows():
    assert resolve_repeats(np.empty(0, np.uint64), np.empty(0), "drop", "drop")[0].tolist() == []


rows = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), min_size=1, max_size=30)


@given(rows)
def test_keep_first_is_pandas_drop_duplicates_as_in_the_documents(pairs):
    texts, labels = zip(*pairs, strict=True)
    kept = pd.DataFrame({"text": texts}).drop_duplicates(subset=["text"]).index
    assert np.flatnonzero(resolve(list(texts), labels)[0]).tolist() == kept.tolist()


@given(rows)
def test_dropping_conflicts_leaves_every_text_with_one_label(pairs):
    texts, labels = zip(*pairs, strict=True)
    keep, _ = resolve(list(texts), labels, conflicts="drop")
    expected = {text for text in texts if len({label for t, label in pairs if t == text}) == 1}
    assert {text for text, stays in zip(texts, keep, strict=True) if stays} == expected


def test_overlap_is_dropped_from_train_first_and_never_from_test():
    hashes = hash_texts(pa.array(list("abcdaabb")))
    splits = {"train": np.array([0, 1, 2, 3]), "validation": np.array([4, 6]), "test": np.array([5])}
    left, dropped = drop_overlap(splits, hashes)
    assert {name: found.tolist() for name, found in left.items()} == {"train": [2, 3], "validation": [6], "test": [5]}
    assert dropped == 3


@given(st.lists(st.tuples(st.sampled_from(["train", "validation", "test"]), st.integers(0, 9)), max_size=40))
def test_no_text_stands_in_two_splits_afterwards(placed):
    hashes = np.array([text for _, text in placed], np.uint64)
    names = ("train", "validation", "test")
    splits = {n: np.array([row for row, (of, _) in enumerate(placed) if of == n], np.int64) for n in names}
    left, dropped = drop_overlap(splits, hashes)
    seen = [set(hashes[left[name]].tolist()) for name in names]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert left["test"].tolist() == splits["test"].tolist()
    assert sum(map(len, left.values())) + dropped == len(placed)
