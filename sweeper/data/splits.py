"""Row numbers shared out to train, validation and test, as the documents do it.

The documents call scikit-learn's `train_test_split` twice with one `random_state`: first the test rows,
then the validation rows from what is left. The same calls on row numbers give the same rows here. Limit:
grouped splits count groups, not rows, so unequal groups give fractions that are only near.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sweeper.data.settings import SPLITS, RowSettings, SplitSettings
from sweeper.errors import UserError

Rows = NDArray[np.int64]


def split_rows(
    parts: Mapping[str, Rows],
    settings: SplitSettings,
    labels: NDArray[np.int64] | None = None,
    groups: NDArray[np.uint64] | None = None,
) -> dict[str, Rows]:
    """Share out the rows of the given parts to three splits.

    The rule. One part `all`: test rows first, then validation rows from the rest, by the three fractions. A
    split that is given is taken as it stands. What is not given is carved from train, with the fractions
    of train and of the missing splits normalised: with train and test given, `train=0.8 validation=0.2
    test=0` (or `0.6/0.15/0.25`) makes a fifth of train the validation rows. A missing test split of
    fraction 0 stays empty.

    Args:
        parts: `all`, or `train` and any of `validation`, `test`; row numbers each.
        labels: (all rows,) class ids, needed to stratify.
        groups: (all rows,) group of each row, or None.

    Returns:
        `train`, `validation`, `test`, in the order in which scikit-learn deals them out.

    Raises:
        UserError: fractions that leave train or validation empty; too few rows, classes or groups.
    """
    given = {name: rows for name, rows in parts.items() if name in SPLITS[1:]}
    rest = parts["all"] if "all" in parts else parts["train"]
    missing = {name: getattr(settings, name) for name in SPLITS if name not in given}
    for name in ("test", "validation"):
        if name in given:
            continue
        fraction = missing.pop(name)
        whole = fraction + sum(missing.values())
        if fraction > 0:
            rest, given[name] = _cut(rest, fraction / whole, settings, labels, groups, name)
        elif name == "validation":
            raise UserError("data.split.validation is 0 and no data.validation is given: there is nothing to choose by")
        else:
            given[name] = np.empty(0, np.int64)
    return {"train": rest, "validation": given["validation"], "test": given["test"]}


def limit_rows(splits: Mapping[str, Rows], limits: RowSettings) -> tuple[dict[str, Rows], int]:
    """At most so many rows a split.

    Returns:
        the splits, and how many rows were left out.
    """
    limited = {}
    for name, rows in splits.items():
        limit = getattr(limits, name)
        if limit is None:
            limited[name] = rows
        elif limits.shuffle_seed is None:
            limited[name] = rows[:limit]
        else:
            limited[name] = rows[np.random.default_rng(limits.shuffle_seed).permutation(len(rows))[:limit]]
    return limited, sum(map(len, splits.values())) - sum(map(len, limited.values()))


def _cut(
    rows: Rows,
    fraction: float,
    settings: SplitSettings,
    labels: NDArray[np.int64] | None,
    groups: NDArray[np.uint64] | None,
    name: str,
) -> tuple[Rows, Rows]:
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    if settings.stratify and settings.group is not None:
        raise UserError("data.split: stratify and group cannot hold together; take one of them")
    if settings.stratify and labels is None:
        raise UserError("data.split.stratify needs classes; data.task=regression has none")
    try:
        if settings.group is not None and groups is not None:
            shuffle = GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=settings.seed)
            stay, go = next(shuffle.split(rows, groups=groups[rows]))
            return rows[stay], rows[go]
        stratum = None if labels is None or not settings.stratify else labels[rows]
        stay, go = train_test_split(rows, test_size=fraction, random_state=settings.seed, stratify=stratum)
    except ValueError as error:
        raise UserError(
            f"data.split: {len(rows)} rows are too few to split off {fraction:.3g} of them for {name} ({error})"
        ) from None
    return stay, go


def refuse_rare_classes(labels: NDArray[np.int64], names: tuple[str, ...], parts: int) -> None:
    """A stratified split needs a row of each class in every split.

    Args:
        labels: (rows,) class ids of the rows to be split.
        names: of the classes.
        parts: how many splits come out.

    Raises:
        UserError: names the classes that have fewer rows.
    """
    counts = np.bincount(labels, minlength=len(names))
    rare = [f"{names[c]!r} ({counts[c]})" for c in np.flatnonzero((counts > 0) & (counts < parts))]
    if rare:
        raise UserError(
            f"data.split.stratify: {len(rare)} classes have fewer than {parts} rows: {', '.join(rare[:10])}. "
            "Add rows, leave the classes out with data.labels, or set data.split.stratify=false"
        )
