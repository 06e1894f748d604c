import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from sweeper.data.settings import RowSettings, SplitSettings
from sweeper.data.splits import limit_rows, refuse_rare_classes, split_rows
from sweeper.errors import UserError


def sizes(splits):
    return [len(splits[name]) for name in ("train", "validation", "test")]


def test_document_1_gets_its_counts_and_its_rows():
    splits = split_rows({"all": np.arange(144_723)}, SplitSettings())
    assert sizes(splits) == [86_833, 28_945, 28_945]
    rest, test = train_test_split(np.arange(144_723), test_size=0.2, random_state=0)
    train, validation = train_test_split(rest, test_size=0.25, random_state=0)
    for name, rows in {"train": train, "validation": validation, "test": test}.items():
        np.testing.assert_array_equal(splits[name], rows)


def test_the_sample_trains_on_2088_sentences():
    assert sizes(split_rows({"all": np.arange(3_480)}, SplitSettings())) == [2_088, 696, 696]


def test_document_3_carves_a_fifth_of_train_with_seed_42():
    parts = {"train": np.arange(25_000), "test": np.arange(25_000, 50_000)}
    splits = split_rows(parts, SplitSettings(train=0.8, validation=0.2, test=0.0, seed=42))
    assert sizes(splits) == [20_000, 5_000, 25_000]
    np.testing.assert_array_equal(splits["test"], parts["test"])


def test_fractions_of_what_is_carved_are_normalised():
    given_test = {"train": np.arange(1000), "test": np.arange(1000, 1100)}
    assert sizes(split_rows(given_test, SplitSettings(0.6, 0.2, 0.2))) == [750, 250, 100]
    given_validation = {"train": np.arange(1000), "validation": np.arange(1000, 1100)}
    assert sizes(split_rows(given_validation, SplitSettings(0.6, 0.2, 0.2))) == [750, 100, 250]
    assert sizes(split_rows(given_validation, SplitSettings(0.8, 0.2, 0.0))) == [1000, 100, 0]
    all_given = given_test | {"validation": np.arange(1100, 1110)}
    assert sizes(split_rows(all_given, SplitSettings())) == [1000, 10, 100]
    assert sizes(split_rows({"train": np.arange(1000)}, SplitSettings())) == [600, 200, 200]


def test_another_seed_gives_other_rows():
    one, two = (split_rows({"all": np.arange(100)}, SplitSettings(seed=seed)) for seed in (0, 1))
    assert one["test"].tolist() != two["test"].tolist()


@given(st.integers(20, 300), st.integers(0, 5), st.booleans(), st.booleans())
def test_every_row_stands_in_exactly_one_split(rows, seed, grouped, stratified):
    settings = SplitSettings(seed=seed, stratify=stratified and not grouped, group="g" if grouped else None)
    parts = {"all": np.arange(rows)}
    splits = split_rows(parts, settings, np.arange(rows) % 3, (np.arange(rows) // 3).astype(np.uint64))
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(rows))


def test_stratified_splits_keep_the_balance():
    labels = np.repeat([0, 1], [900, 100])
    splits = split_rows({"all": np.arange(1000)}, SplitSettings(stratify=True), labels)
    assert [int(labels[splits[name]].sum()) for name in ("train", "validation", "test")] == [60, 20, 20]


def test_groups_stay_on_one_side():
    groups = np.repeat(np.arange(100), 3).astype(np.uint64)
    splits = split_rows({"all": np.arange(300)}, SplitSettings(group="dialogue"), groups=groups)
    sides = [set(groups[rows].tolist()) for rows in splits.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 100
    assert sizes(splits) == [180, 60, 60]


def test_row_numbers_need_not_start_at_zero_or_follow_one_another():
    rows = np.array([5, 90, 7, 40, 41, 42, 60, 61, 62, 63])
    labels, groups = np.zeros(100, np.int64), np.arange(100, dtype=np.uint64)
    for settings in (SplitSettings(), SplitSettings(group="g"), SplitSettings(stratify=True)):
        splits = split_rows({"all": rows}, settings, labels, groups)
        assert sorted(np.concatenate(list(splits.values())).tolist()) == sorted(rows.tolist())


def test_impossible_splits_are_refused():
    with pytest.raises(UserError, match="nothing to choose by"):
        split_rows({"all": np.arange(10)}, SplitSettings(1.0, 0.0, 0.0))
    with pytest.raises(UserError, match="1 rows are too few"):
        split_rows({"all": np.arange(1)}, SplitSettings())
    with pytest.raises(UserError, match="take one of them"):
        split_rows(
            {"all": np.arange(10)}, SplitSettings(stratify=True, group="g"), np.zeros(10, int), np.zeros(10, np.uint64)
        )
    with pytest.raises(UserError, match="regression has none"):
        split_rows({"all": np.arange(10)}, SplitSettings(stratify=True))
    with pytest.raises(UserError, match="too few"):
        split_rows({"all": np.arange(10)}, SplitSettings(stratify=True), np.arange(10))


def test_classes_with_too_few_rows_to_stratify_are_named():
    with pytest.raises(UserError, match=r"1 classes have fewer than 3 rows: 'rare' \(2\)"):
        refuse_rare_classes(np.array([0, 0, 0, 1, 1]), ("often", "rare", "absent"), 3)
    refuse_rare_classes(np.array([0, 0, 0, 1, 1, 1]), ("often", "rare", "absent"), 3)


def test_row_limits_take_the_first_rows():
    splits = {"train": np.arange(9, -1, -1), "validation": np.arange(3), "test": np.arange(0)}
    limited, left_out = limit_rows(splits, RowSettings(train=4, validation=5))
    assert limited["train"].tolist() == [9, 8, 7, 6]
    assert len(limited["validation"]) == 3
    assert left_out == 6


def test_a_larger_shuffled_limit_begins_with_the_smaller_one():
    splits = {"train": np.arange(50)}
    small, large = (limit_rows(splits, RowSettings(train=limit, shuffle_seed=3))[0]["train"] for limit in (10, 80))
    assert large[:10].tolist() == small.tolist()
    assert sorted(large.tolist()) == list(range(50))


def test_shuffled_row_limits_take_the_rows_that_datasets_shuffle_takes():
    import datasets

    expected = datasets.Dataset.from_dict({"row": range(5000)}).shuffle(seed=42).select(range(1000))["row"]
    limited, _ = limit_rows({"train": np.arange(5000)}, RowSettings(train=1000, shuffle_seed=42))
    assert limited["train"].tolist() == list(expected)
