"""Where rows come from: table files, AI-Hub workbooks, folders of text files, hub data sets.

Every source gives the same stream: `Chunk`s of consecutive rows, each a text, a label and, where asked
for, a group, as they stand in the source; nothing is judged here. Chunks are small (at most some MiB), so
memory does not grow with the data. Limit: a hub data set is downloaded whole by `datasets`.
"""

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from sweeper import assets
from sweeper.data.hub import hub_splits, read_hub
from sweeper.data.settings import SPLITS, DataSettings
from sweeper.data.tables import Chunk, find_column, find_encoding, read_table, wanted_columns
from sweeper.errors import UserError

SENTENCE = re.compile(r"사람문장(\d+)")
WORKBOOK_LABELS = ("감정_소분류", "감정_대분류")
TABLE_WAY_OUT = (
    "Check data.path (or data.train, data.validation, data.test). Where the corpus of an experiment comes from "
    "stands at the top of its file in conf/experiment"
)
WORKBOOK_WAY_OUT = (
    "The workbook is '감성 대화 말뭉치' from AI-Hub (https://aihub.or.kr, sign in, download, unpack). Its columns "
    "are 감정_대분류, 감정_소분류 and 사람문장1 to 사람문장3 (others are ignored). Set data.path to the .xlsx, or "
    "to a glob for several; experiment=emotion58_sample runs without it"
)
IGNORED_FOLDERS = ("unsup",)
FILES_A_CHUNK = 1000
WHOLE = "all"


@dataclass(frozen=True)
class Part:
    """Rows that stay together until they are split: a given split, or `all`.

    Attributes:
        name: `train`, `validation`, `test` or `all`.
        places: files or folders, in order; for a hub data set the name of its split.
    """

    name: str
    places: tuple[str, ...]


def plan(settings: DataSettings) -> tuple[Part, ...]:
    """Which parts the settings name, in the order train, validation, test; opens no file.

    Raises:
        UserError: nothing named, no such file, no train split.
    """
    if settings.source == "hub":
        return _hub_plan(settings)
    if settings.source not in ("table", "workbook", "folder"):
        raise UserError(f"data.source: got {settings.source!r}; it takes table, workbook, folder or hub")
    if settings.path:
        return _path_plan(settings, settings.path)
    named = [(name, str(value)) for name in SPLITS if (value := getattr(settings, name))]
    if not named:
        raise UserError(f"data.path is not set. {_way_out(settings) or 'Set it to a file, a glob or a folder'}")
    if named[0][0] != "train":
        raise UserError(f"data.{named[0][0]} is set but data.train is not: there is nothing to train on")
    return tuple(Part(name, _places(value, settings)) for name, value in named)


def read(part: Part, settings: DataSettings) -> Iterator[Chunk]:
    """All rows of a part in the order of the source.

    Raises:
        UserError: as `read_table`; an unknown column; an unreachable hub.
    """
    reader: Callable[[str, DataSettings], Iterator[Chunk]] = {
        "table": _table,
        "workbook": _workbook,
        "folder": _folder,
        "hub": read_hub,
    }[settings.source]
    for place in part.places:
        yield from reader(place, settings)


def fingerprint(settings: DataSettings) -> str:
    """A hash of the content of all sources; a hub data set is named by id, config and revision instead.

    So a hub data set without `data.revision` stays as it was first seen until the cache is removed.
    """
    parts = _hub_named(settings) if settings.source == "hub" else plan(settings)
    state = xxhash.xxh3_128()
    for part in parts:
        state.update(f"part {part.name}\n".encode())
        for place in part.places:
            if Path(place).exists():
                _add_content(state, Path(place), settings.source)
            else:
                state.update(f"hub {place}\n".encode())
    return state.hexdigest()


def _add_content(state: Any, path: Path, source: str) -> None:
    files = [path]
    if path.is_dir():
        files = class_files(path) if source == "folder" else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        # The name counts where it says something: the class of a folder's file, the format of a table.
        name = str(file.relative_to(path)) if path.is_dir() else file.suffix
        state.update(f"{name} {file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                state.update(block)


def _way_out(settings: DataSettings) -> str:
    return WORKBOOK_WAY_OUT if settings.source == "workbook" else TABLE_WAY_OUT


def _path_plan(settings: DataSettings, path: str) -> tuple[Part, ...]:
    root = Path(assets.data_path(path))
    if settings.source == "folder" and (root / "train").is_dir():
        given = [name for name in SPLITS if (root / name).is_dir()]
        return tuple(Part(name, (str(root / name),)) for name in given)
    return (Part(WHOLE, _places(path, settings)),)


def _places(path: str, settings: DataSettings) -> tuple[str, ...]:
    path = assets.data_path(path)
    if Path(path).exists():
        if settings.source == "folder" and not Path(path).is_dir():
            raise UserError(f"{path} is a file; data.source=folder expects a folder with one sub-folder a class")
        return (path,)
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not found:
        what = "no file matches" if glob.has_magic(path) else "there is no such file or folder"
        raise UserError(f"{path}: {what} (seen from {Path.cwd()}). {_way_out(settings)}".strip())
    return tuple(found)


def _table(place: str, settings: DataSettings) -> Iterator[Chunk]:
    keys = wanted_columns(settings)

    def pick(names: Sequence[str]) -> list[int]:
        return [find_column(wanted, names, place, key) for key, wanted in keys.items()]

    row = 1
    for text, label, *group in read_table(Path(place), settings, pick):
        yield Chunk(place, row, text, label, group[0] if group else None)
        row += len(text)


def _workbook(place: str, settings: DataSettings) -> Iterator[Chunk]:
    """Every 사람문장N cell becomes a row: dialogue by dialogue, sentence 1 to N; the dialogue is the group."""

    def pick(names: Sequence[str]) -> list[int]:
        numbered = {int(found[1]): at for at, name in enumerate(names) if (found := SENTENCE.fullmatch(name.strip()))}
        if not numbered:
            raise UserError(
                f"{place}: no column 사람문장1; the columns are {', '.join(names)}. For a table of your own add "
                f"data=table data.text=COLUMN data.label=COLUMN. {WORKBOOK_WAY_OUT}"
            )
        label = find_column(settings.label, names, place, f"data.label, {' or '.join(WORKBOOK_LABELS)}")
        return [label, *(numbered[number] for number in sorted(numbered))]

    if settings.split.group not in (None, "dialogue"):
        raise UserError(f"data.split.group: got {settings.split.group!r}; a workbook is grouped by 'dialogue'")
    row = 1
    for label, *sentences in read_table(Path(place), settings, pick):
        dialogues = np.arange(len(label))
        # Columns end to end, then taken across: cell (dialogue d, sentence s) lies at s * dialogues + d.
        across = np.arange(len(label) * len(sentences)).reshape(len(sentences), -1).T.ravel()
        of_dialogue = pa.array(dialogues.repeat(len(sentences)))
        names = pa.array([f"{place}:{row + dialogue}" for dialogue in dialogues], pa.string())
        yield Chunk(
            place,
            (row - 1) * len(sentences) + 1,
            pa.concat_arrays(sentences).take(pa.array(across)),
            label.take(of_dialogue),
            names.take(of_dialogue),
        )
        row += len(label)


def _folder(place: str, settings: DataSettings) -> Iterator[Chunk]:
    """One sub-folder a class, one text file a row, both by name; `unsup` and hidden entries are ignored."""
    if settings.split.group is not None:
        raise UserError("data.split.group: files in folders have no groups; set it to null")
    files = class_files(Path(place))
    for start in range(0, len(files), FILES_A_CHUNK):
        some = files[start : start + FILES_A_CHUNK]
        texts = [_decode(file, settings.encoding) for file in some]
        labels = [file.parent.name for file in some]
        yield Chunk(place, start + 1, pa.array(texts, pa.string()), pa.array(labels, pa.string()))


def class_files(root: Path) -> list[Path]:
    """The text files of all class folders, by class, then by name.

    Raises:
        UserError: there is none.
    """
    classes = [e for e in sorted(root.iterdir()) if e.is_dir() and e.name[0] != "." and e.name not in IGNORED_FOLDERS]
    files = [file for entry in classes for file in sorted(entry.iterdir()) if file.is_file() and file.name[0] != "."]
    if not files:
        raise UserError(f"{root}: expected one sub-folder a class with one text file a row, found none")
    return files


def _decode(file: Path, encoding: str) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig" if encoding == "auto" else encoding)
    except (UnicodeDecodeError, LookupError):
        return content.decode(find_encoding(file, encoding))


def _hub_named(settings: DataSettings) -> tuple[Part, ...]:
    """What names a hub data set: its id (or folder), which the row settings complete, and the splits asked for."""
    splits = [f"{name}={getattr(settings, name)}" for name in SPLITS]
    return (Part(" ".join(splits), (str(settings.path),)),)


def _hub_plan(settings: DataSettings) -> tuple[Part, ...]:
    if not settings.path:
        raise UserError("data.path is not set: give the id of a hub data set, such as yelp_review_full")
    named = {name: str(value) for name in SPLITS if (value := getattr(settings, name))}
    if not named:
        there = hub_splits(settings)
        named = {"train": there[0] if len(there) == 1 else "train"} | {n: n for n in SPLITS[1:] if n in there}
    if "train" not in named:
        raise UserError("data.train is not set: name the hub data set's split to train on, such as train")
    if len(named) == 1:
        return (Part(WHOLE, (named["train"],)),)
    return tuple(Part(name, (split,)) for name, split in named.items())
