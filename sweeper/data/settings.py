"""What can be said about the data, as plain values: the `data:` block of the configuration, key by key.

The room knows no configuration object; whoever has one hands over a plain mapping (`DataSettings.of`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, TypeVar

from sweeper.errors import UserError

SPLITS = ("train", "validation", "test")
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class SplitSettings:
    """How rows without a split of their own are shared out.

    Attributes:
        train, validation, test: fractions between 0 and 1, together 1.
        seed: `random_state` of both `train_test_split` calls.
        stratify: keep the class balance in every split.
        group: column whose equal values must stay on one side (`dialogue` for a workbook), or None.
    """

    train: float = 0.6
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    stratify: bool = False
    group: str | None = None


@dataclass(frozen=True)
class RowSettings:
    """At most so many rows a split, after cleaning; None: all.

    Without `shuffle_seed` the first rows of the split stay, with it the first of
    `numpy.random.default_rng(shuffle_seed).permutation(n)`, which is what `datasets`' `shuffle` does.
    """

    train: int | None = None
    validation: int | None = None
    test: int | None = None
    shuffle_seed: int | None = None


@dataclass(frozen=True)
class DataSettings:
    """The `data:` keys of the configuration under their own names.

    Attributes:
        source: `table`, `workbook`, `folder` or `hub`.
        path: a file, glob, folder, hub id or `bundled:NAME`, split by fractions.
        train, validation, test: one file (glob, folder, hub split) a split. For a `hub` they name splits of
            `path`; for the others `path` wins, so that `data.path=my.csv` works on every experiment.
        text, label: column name, or number counted from 0.
        header: whether the first row of a table holds the names.
        encoding, delimiter: `auto` or a value (`cp949`, `|`).
        quoting: False reads quotes as ordinary characters (NSMC).
        config, revision: of a hub data set.
        task: `classification` or `regression`.
        labels: the label order; rows with other labels are unknown.
        unknown_labels: `drop` or `error`.
        duplicates: `drop` or `keep` a text seen before under the same label in the same source split.
        conflicts: `keep_first`, `drop` or `keep` where a text has two labels in the same source split.
        overlap: `drop` or `keep` a text that stands in two splits.
        max_length: tokens a text may have, special tokens included.
    """

    source: str = "table"
    path: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    text: str = "text"
    label: str = "label"
    header: bool = True
    encoding: str = "auto"
    delimiter: str = "auto"
    quoting: bool = True
    config: str | None = None
    revision: str | None = None
    task: str = "classification"
    labels: tuple[str, ...] | None = None
    unknown_labels: str = "drop"
    duplicates: str = "drop"
    conflicts: str = "keep_first"
    overlap: str = "drop"
    max_length: int = 128
    split: SplitSettings = field(default_factory=SplitSettings)
    rows: RowSettings = field(default_factory=RowSettings)

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Self:
        """Settings from plain nested values; numbers stand for column names and labels too.

        Raises:
            UserError: an unknown key.
        """
        plain = _known(cls, mapping, "data")
        plain["split"] = _nested(SplitSettings, plain.get("split"), "data.split")
        plain["rows"] = _nested(RowSettings, plain.get("rows"), "data.rows")
        if plain.get("labels") is not None:
            plain["labels"] = tuple(str(label) for label in plain["labels"])
        for column in ("text", "label"):
            if column in plain:
                plain[column] = str(plain[column])
        return cls(**plain)

    @property
    def plain(self) -> dict[str, Any]:
        """All settings as nested JSON-able values."""
        return asdict(self)


def _known(kind: type[Any], mapping: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = [entry.name for entry in fields(kind)]
    unknown = [key for key in mapping if key not in names]
    if unknown:
        raise UserError(f"{where}: there is no key {unknown[0]!r}; the keys are {', '.join(names)}")
    return dict(mapping)


def _nested(kind: type[Kind], value: Any, where: str) -> Kind:
    if isinstance(value, kind):
        return value
    return kind(**_known(kind, value or {}, where))
