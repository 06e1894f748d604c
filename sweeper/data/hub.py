"""Data sets of the Hugging Face hub, through `datasets.load_dataset`.

Limits: the data set is downloaded whole (row limits apply after cleaning); a data set that needs its own
code is refused by `datasets` itself, and no code from the hub is ever run.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sweeper.data.settings import DataSettings
from sweeper.data.tables import Chunk, as_text, find_column, wanted_columns
from sweeper.errors import UserError

ROWS = 10_000
WAY_OUT = (
    "Or download its files elsewhere and read them from a folder: data.source=table data.path='FOLDER/*.parquet' "
    "(csv, tsv and jsonl too)"
)


def hub_splits(settings: DataSettings) -> list[str]:
    """The names of the data set's splits.

    Raises:
        UserError: as `read_hub`.
    """
    return list(_load(settings, None))


def read_hub(split: str, settings: DataSettings) -> Iterator[Chunk]:
    """The rows of one split; the numbers of a ClassLabel column are given by name.

    Raises:
        UserError: hub not reachable, no such data set, config or split, or an unknown column.
    """
    rows = _load(settings, split)
    file = f"{settings.path}[{split}]"
    columns = [
        rows.column_names[find_column(name, rows.column_names, file, key)]
        for key, name in wanted_columns(settings).items()
    ]
    classes = getattr(rows.features[columns[1]], "names", None)
    first_row = 1
    for batch in rows.select_columns(list(dict.fromkeys(columns))).with_format("arrow").iter(batch_size=ROWS):
        text, label, *group = (batch.column(name).combine_chunks() for name in columns)
        if classes:
            label = pa.array(classes, pa.string()).take(pc.if_else(pc.less(label, 0), None, label))  # -1: no label
        yield Chunk(file, first_row, *(as_text(column, file) for column in (text, label, *group)))
        first_row += batch.num_rows


def _load(settings: DataSettings, split: str | None) -> Any:
    import datasets
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # a refusing proxy is its error, no OSError

    named = f"data.path={settings.path}"
    try:
        return datasets.load_dataset(settings.path, settings.config, split=split, revision=settings.revision)
    except FileNotFoundError as error:
        raise UserError(f"{named}: the hub has no such data set ({_short(error)}). {WAY_OUT}") from None
    except (OSError, httpx.HTTPError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"{named}: the hub cannot be reached ({_short(error)}). {WAY_OUT}") from None
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{named} data.config={settings.config}, split {split}: {_short(error)}. {WAY_OUT}") from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
