import pytest

from sweeper.data import sources
from sweeper.data.settings import DataSettings
from sweeper.data.sources import fingerprint, plan, read
from sweeper.errors import UserError

NAMES = ["감정_대분류", "감정_소분류", "사람문장1", "시스템문장1", "사람문장2", "사람문장3"]
DIALOGUES = [
    ["기쁨", "감사하는 ", "가1", "시", "가2", "가3"],
    ["슬픔", "우울한", "나1", "시", "나2", None],
]


@pytest.fixture
def workbook(tmp_path):
    """Writes a workbook in AI-Hub's schema with an unnamed index column first."""
    import openpyxl

    def write(name, names=NAMES, rows=DIALOGUES):
        book = openpyxl.Workbook()
        book.active.append([None, *names])
        for number, row in enumerate(rows):
            book.active.append([number, *row])
        book.save(tmp_path / name)
        return str(tmp_path / name)

    return write


def parts(**settings):
    return {part.name: part.places for part in plan(DataSettings.of(settings))}


def test_one_path_is_one_part(write):
    path = write("a.csv", "text,label\n")
    assert parts(path=path) == {"all": (path,)}


def test_a_glob_takes_its_files_by_name(write, tmp_path, read_rows):
    for name in ("b", "a"):
        write(f"{name}.csv", f"text,label\n{name},1\n")
    assert read_rows(path=str(tmp_path / "*.csv")) == [("a", "1"), ("b", "1")]


def test_given_splits_are_parts_in_fixed_order(write):
    train, test = write("train.csv", "text,label\n"), write("dev.csv", "text,label\n")
    assert list(parts(test=test, train=train).items()) == [("train", (train,)), ("test", (test,))]


def test_path_wins_over_given_splits(write):
    path = write("a.csv", "text,label\n")
    assert parts(path=path, train="gone.csv", test="gone.csv") == {"all": (path,)}


def test_a_bundled_file_is_found():
    assert parts(path="bundled:emotion58_sample/dialogues.tsv")["all"][0].endswith("emotion58_sample/dialogues.tsv")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "gone.csv"}, "gone.csv: there is no such file or folder"),
        ({"path": "gone/*.csv"}, "no file matches"),
        ({}, r"data\.path is not set"),
        ({"test": "a.csv"}, r"data\.train is not"),
        ({"source": "sql"}, "it takes table, workbook, folder or hub"),
    ],
)
def test_what_cannot_be_found_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        parts(**settings)


def test_wrong_column_lists_the_columns(write, read_rows):
    with pytest.raises(
        UserError, match=r"a\.csv: there is no column 'sentence' \(data\.text\); the columns are 'text', 'l'"
    ):
        read_rows(path=write("a.csv", "text,l\n"), text="sentence", label="l")


def test_workbook_cells_become_rows_dialogue_by_dialogue(workbook, read_rows):
    rows = read_rows(source="workbook", path=workbook("a.xlsx"), label="감정_소분류")
    thanks, sad = "감사하는 ", "우울한"
    assert rows == [("가1", thanks), ("가2", thanks), ("가3", thanks), ("나1", sad), ("나2", sad), (None, sad)]


def test_workbook_sentences_go_by_number_not_by_column(workbook, read_rows):
    path = workbook("a.xlsx", ["감정_대분류", "사람문장10", "사람문장2"], [["기쁨", "열", "둘"]])
    assert read_rows(source="workbook", path=path, label="감정_대분류") == [("둘", "기쁨"), ("열", "기쁨")]


def test_several_workbooks_are_read_one_after_another(workbook, tmp_path, read_rows):
    workbook("b.xlsx", rows=DIALOGUES[1:])
    workbook("a.xlsx", rows=DIALOGUES[:1])
    rows = read_rows(source="workbook", path=str(tmp_path / "*.xlsx"), label="감정_대분류")
    assert [text for text, _ in rows] == ["가1", "가2", "가3", "나1", "나2", None]


def test_dialogues_are_groups_across_workbooks(workbook, tmp_path):
    workbook("a.xlsx")
    workbook("b.xlsx")
    settings = DataSettings.of(
        {"source": "workbook", "path": str(tmp_path / "*.xlsx"), "label": "감정_대분류", "split": {"group": "dialogue"}}
    )
    groups = [group for chunk in read(plan(settings)[0], settings) for group in chunk.group.to_pylist()]
    assert len(groups) == 12
    assert [groups.count(group) for group in dict.fromkeys(groups)] == [3, 3, 3, 3]


@pytest.mark.parametrize("settings", [{}, {"path": "corpora/감성대화.xlsx"}, {"path": "corpora/*.xlsx"}])
def test_absent_workbook_says_where_to_get_it_and_what_it_looks_like(settings):
    with pytest.raises(UserError, match=r"감성 대화 말뭉치.*AI-Hub.*감정_소분류 and 사람문장1 to 사람문장3"):
        parts(source="workbook", **settings)


def test_workbook_of_another_schema_says_what_is_expected(workbook, read_rows):
    with pytest.raises(UserError, match=r"no column 사람문장1; the columns are .*문장.*AI-Hub"):
        read_rows(source="workbook", path=workbook("a.xlsx", ["감정_소분류", "문장"], []), label="감정_소분류")
    with pytest.raises(UserError, match=r"no column '감정'.*감정_소분류 or 감정_대분류"):
        read_rows(source="workbook", path=workbook("b.xlsx"), label="감정")


def test_a_workbook_is_grouped_by_dialogue_only(workbook, read_rows):
    with pytest.raises(UserError, match="grouped by 'dialogue'"):
        read_rows(source="workbook", path=workbook("a.xlsx"), label="감정_대분류", split={"group": "연령"})


def test_folder_gives_a_row_a_file_and_ignores_unsup(write, tmp_path, read_rows):
    write("train/pos/1_9.txt", "좋아", "cp949")
    write("train/neg/0_2.txt", "bad")
    write("train/unsup/0_0.txt", "?")
    write("train/.hidden/x.txt", "?")
    write("train/urls.txt", "http://")
    assert read_rows(source="folder", train=str(tmp_path / "train")) == [("bad", "neg"), ("좋아", "pos")]


def test_a_folder_of_given_splits_is_seen_as_such(write, tmp_path):
    for name in ("train/pos/a.txt", "test/pos/a.txt"):
        write(name, "x")
    assert parts(source="folder", path=str(tmp_path)) == {
        "train": (str(tmp_path / "train"),),
        "test": (str(tmp_path / "test"),),
    }


def test_folder_without_classes_or_with_a_wrong_encoding_is_named(write, tmp_path, read_rows):
    with pytest.raises(UserError, match="expected one sub-folder a class"):
        read_rows(source="folder", path=str(tmp_path))
    path = write("a/x.txt", "가", "cp949")
    with pytest.raises(UserError, match=r"x\.txt: the text is not utf-8"):
        read_rows(source="folder", path=str(tmp_path), encoding="utf-8")
    with pytest.raises(UserError, match="is a file"):
        read_rows(source="folder", path=path)


def test_folder_rows_are_numbered_through_chunks(write, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "FILES_A_CHUNK", 2)
    for number in range(5):
        write(f"c/{number}.txt", str(number))
    settings = DataSettings(source="folder", path=str(tmp_path))
    assert [(c.first_row, len(c.text)) for c in read(plan(settings)[0], settings)] == [(1, 2), (3, 2), (5, 1)]


def test_fingerprint_follows_content_not_place(write):
    first = DataSettings(path=write("a.csv", "text,label\n가,1\n"))
    moved = DataSettings(path=write("other/b.csv", "text,label\n가,1\n"))
    changed = DataSettings(path=write("c.csv", "text,label\n가,0\n"))
    assert fingerprint(first) == fingerprint(moved) != fingerprint(changed)


def test_fingerprint_knows_which_split_a_file_is(write):
    one, two = write("a.csv", "text,label\n가,1\n"), write("b.csv", "text,label\n나,1\n")
    assert fingerprint(DataSettings(train=one, test=two)) != fingerprint(DataSettings(train=two, test=one))


def test_fingerprint_of_a_folder_follows_its_classes_and_not_unsup(write, tmp_path):
    settings = DataSettings(source="folder", path=str(tmp_path))
    write("pos/a.txt", "x")
    before = fingerprint(settings)
    write("unsup/a.txt", "x")
    assert fingerprint(settings) == before
    (tmp_path / "pos").rename(tmp_path / "neg")
    assert fingerprint(settings) != before


def test_fingerprint_of_a_hub_data_set_is_its_name_and_splits():
    one = DataSettings(source="hub", path="owner/name", train="train")
    assert fingerprint(one) == fingerprint(DataSettings(source="hub", path="owner/name", train="train"))
    assert fingerprint(one) != fingerprint(DataSettings(source="hub", path="owner/name", train="train[:10]"))
