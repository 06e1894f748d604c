import numpy as np

from sweeper.data.card import balance, make_card, short_card, token_figures
from sweeper.data.settings import DataSettings

META = {
    "files": [{"part": "all", "path": f"{name}.csv", "rows": 25} for name in "abcd"],
    "labels": ["0", "1"],
    "unknown": {"3": 2},
}
LABELS = {"train": np.array([0] * 60 + [1] * 30), "validation": np.array([1] * 5), "test": np.array([], np.int64)}


def card(**changes):
    settings = DataSettings.of({"max_length": 10, **changes.pop("settings", {})})
    arguments = {"meta": META, "dropped": {"unknown_labels": 2, "duplicates": 3}, "labels": LABELS} | changes
    lengths = np.array([3, 10, 12, 20], np.int32)
    return make_card(settings, full_lengths=lengths, max_length=10, fingerprint="f" * 32, **arguments)


def test_rows_in_are_dropped_or_in_a_split():
    made = card()
    assert made["rows_in"] == 100 == sum(made["dropped"].values()) + sum(made["rows"].values())


def test_token_figures_count_what_is_cut():
    figures = token_figures(np.array([3, 10, 12, 20], np.int32), 10)
    assert (figures["longest"], figures["mean"], figures["tokens"]) == (20, 11.25, 45)
    assert (figures["rows_truncated"], figures["tokens_truncated"]) == (2, 12)
    histogram = figures["histogram"]
    assert sum(histogram["counts"]) == 4
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert (histogram["edges"][0], histogram["edges"][-1]) == (3, 20)


def test_lengths_that_are_all_equal_have_a_histogram():
    assert token_figures(np.array([5, 5], np.int32), 10)["histogram"]["counts"] == [2]


def test_balance_counts_classes_even_absent_ones_and_describes_values():
    assert balance(np.array([1, 1]), ("a", "b", "c")) == {"a": 0, "b": 2, "c": 0}
    assert balance(np.array([1.0, 3.0], np.float32), ()) == {"mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0}
    assert balance(np.array([], np.float32), ()) == {}


def test_short_card_says_it_in_a_few_lines():
    lines = short_card(card()).splitlines()
    assert 5 <= len(lines) <= 8
    assert "a.csv, b.csv, c.csv and 1 more" in lines[0]
    assert "100 read; dropped 2 unknown labels ('3'), 3 duplicates" in lines[1]
    assert "train 90, validation 5, test 0" in lines[2]
    assert "2; 30 ('1') to 60 ('0') train rows each" in lines[3]
    assert "2 rows cut at 10 (12 tokens)" in lines[4]


def test_short_card_of_a_regression_gives_the_range():
    labels = {name: values.astype(np.float32) for name, values in LABELS.items()}
    made = card(meta=META | {"labels": []}, labels=labels, settings={"task": "regression"})
    assert "values    in train 0 to 1, mean 0.333333" in short_card(made)
