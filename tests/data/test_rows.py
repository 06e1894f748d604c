import numpy as np
import pytest

from sweeper.data import rows, tables
from sweeper.data.rows import RowStore, write_rows
from sweeper.data.settings import DataSettings
from sweeper.errors import UserError


@pytest.fixture
def store(tmp_path):
    def build(**settings):
        folder = tmp_path / "store"
        folder.mkdir()
        write_rows(folder, DataSettings.of(settings), lambda _: None)
        return RowStore(folder)

    return build


def test_rows_of_many_blocks_come_back_in_any_order(write, store, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK", 128)
    monkeypatch.setattr(rows, "BATCH", 3)
    texts = [f"글 {number}" for number in range(60)]
    stored = store(path=write("a.csv", "text,label\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate(texts))))
    order = np.array([59, 0, 31, 31, 7])
    assert stored.texts(order) == [texts[row] for row in order]
    assert stored.texts(np.array([], np.int64)) == []
    assert [text for batch in stored.batches() for text in batch] == texts
    assert stored.labels.tolist() == [row % 2 for row in range(60)]
    assert len(set(stored.hashes.tolist())) == 60
    assert stored.groups is None


def test_parts_are_ranges_and_files_are_listed_with_their_rows(write, store):
    train = write("train.csv", "text,label\n가,b\n,b\n나,a\n")
    test = write("test.csv", "text,label\n다,a\n")
    stored = store(train=train, test=test)
    assert {name: part.tolist() for name, part in stored.parts.items()} == {"train": [0, 1], "test": [2]}
    assert stored.meta["files"] == [
        {"part": "train", "path": train, "rows": 3},
        {"part": "test", "path": test, "rows": 1},
    ]
    assert stored.meta["labels"] == ["a", "b"]
    assert stored.labels.tolist() == [1, 0, 0]


def test_groups_are_kept_where_asked_for(write, store):
    stored = store(path=write("a.csv", "text,label,who\n가,1,x\n나,0,y\n다,1,x\n"), split={"group": "who"})
    assert stored.groups is not None
    assert stored.groups[0] == stored.groups[2] != stored.groups[1]


def test_a_bundled_file_is_listed_by_its_public_name(store):
    stored = store(source="workbook", path="bundled:emotion58_sample/dialogues.tsv", label="감정_대분류")
    assert stored.meta["files"] == [{"part": "all", "path": "bundled:emotion58_sample/dialogues.tsv", "rows": 3600}]


def test_empty_data_says_which_file_and_why(write, store):
    with pytest.raises(UserError, match=r"data\.path \(.*a\.csv\): the data is empty, there is no row in it"):
        store(path=write("a.csv", "text,label\n"))


def test_data_that_cleaning_empties_says_what_was_dropped(write, store):
    train, test = write("train.csv", "text,label\n가,0\n나,1\n"), write("test.csv", "text,label\n,1\n다,3\n")
    with pytest.raises(
        UserError,
        match=r"data\.test \(.*test\.csv\): .*every row was dropped: 1 missing text, 1 unknown labels \(such as '3'\)",
    ):
        store(train=train, test=test, labels=["0", "1"])
