import codecs
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from sweeper.data import tables
from sweeper.data.settings import DataSettings
from sweeper.data.tables import find_column, find_encoding, read_table
from sweeper.errors import UserError

ROWS = [("좋아요", "1"), ("싫어요, 정말", "0"), ('"따옴표"', "1")]


def read(path, pick=lambda names: [0, 1], **settings):
    columns = [
        list(zip(*(c.to_pylist() for c in block), strict=True))
        for block in read_table(Path(path), settings_of(settings), pick)
    ]
    return [row for block in columns for row in block]


def settings_of(settings):
    return DataSettings.of(settings)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t"), ("txt", "\t")])
def test_text_tables_are_read_in_every_encoding(write, ending, mark, encoding):
    lines = [("글", "표"), ("좋아요", "1"), ('"싫어요, ""정말"""', "0")]
    path = write(f"a.{ending}", "\n".join(mark.join(row) for row in lines), encoding)
    names = []
    rows = read(path, lambda found: names.extend(found) or [0, 1])
    assert names == ["글", "표"]
    assert rows == [("좋아요", "1"), ('싫어요, "정말"', "0")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_jsonl_is_read_in_every_encoding_with_labels_of_any_plain_type(write, encoding):
    path = write("a.jsonl", '{"t": "좋아요", "l": 1}\n{"t": "싫어요", "l": 0}\n{"t": null}\n', encoding)
    assert read(path) == [("좋아요", "1"), ("싫어요", "0"), (None, None)]


def test_parquet_labels_of_any_plain_type_are_read_as_text(tmp_path):
    types = {"i": pa.array([1, None]), "f": pa.array([2.0, 2.5]), "b": pa.array([True, False])}
    types["d"] = pa.array(["a", "b"]).dictionary_encode()
    parquet.write_table(pa.table(types), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", lambda names: [0, 1, 2, 3]) == [
        ("1", "2", "true", "a"),
        (None, "2.5", "false", "b"),
    ]


def test_xlsx_is_read_with_short_rows_and_whole_numbers(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for row in [(None, "text", "label"), (0, "좋아요", 1.0), (1, "싫어요")]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx", lambda names: [names.index("text"), 2]) == [("좋아요", "1"), ("싫어요", None)]


def test_xlsx_without_names_keeps_its_first_row(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(("좋아요", 1))
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx", header=False) == [("좋아요", "1")]


def test_quotes_are_ordinary_characters_without_quoting(write):
    path = write("a.tsv", 'id\tdocument\n1\t"열린 따옴표\n2\t그냥 "안" 따옴표"\n')
    assert read(path, quoting=False) == [("1", '"열린 따옴표'), ("2", '그냥 "안" 따옴표"')]


def test_a_quote_left_open_is_an_error_rather_than_lost_rows(write):
    path = write("a.tsv", 't\tl\n"열린\t1\n둘\t0\n셋"\t1\n')
    with pytest.raises(UserError, match=r"data\.quoting=false"):
        read(path)


def test_quoted_text_may_run_over_lines(write):
    assert read(write("a.csv", 't,l\n"한 줄\n두 줄",1\n')) == [("한 줄\n두 줄", "1")]


def test_a_table_without_names_is_numbered(write):
    names = []
    assert read(write("a.txt", "0\t만화\n"), lambda found: names.extend(found) or [1, 0], header=False) == [
        ("만화", "0")
    ]
    assert names == ["0", "1"]


def test_other_delimiters_and_endings(write):
    assert read(write("a.dat", "t|l\n가|1\n"), delimiter="|") == [("가", "1")]
    assert read(write("b.dat", "t\tl\n가\t1\n"), delimiter="tab") == [("가", "1")]
    with pytest.raises(UserError, match="unknown ending"):
        read(write("c.dat", "t|l\n"))
    with pytest.raises(UserError, match="one character"):
        read(write("d.csv", "t||l\n가||1\n"), delimiter="||")


def test_a_row_of_another_width_is_named(write):
    with pytest.raises(UserError, match=r"a\.csv: .*Expected 2 columns, got 3"):
        read(write("a.csv", "t,l\n가,1\n나,다,1\n"))


def test_files_without_rows_give_no_rows(write):
    assert read(write("a.csv", "")) == []
    assert read(write("b.csv", "t,l\n")) == []
    assert read(write("c.jsonl", "")) == []


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.csv: there is no such file"):
        read(tmp_path / "gone.csv")
    with pytest.raises(UserError, match=r"is a folder.*data\.source=folder"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a.xlsx", "a.parquet", "a.jsonl"])
def test_a_file_that_is_not_what_it_is_called_is_named(write, name):
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        read(write(name, "아무 글이나"))


def test_a_column_of_lists_is_refused(write):
    with pytest.raises(UserError, match="holds list"):
        read(write("a.jsonl", '{"t": ["a"], "l": 1}\n'))


def test_wrong_encoding_names_file_and_byte(write):
    path = write("a.csv", "글,표\n좋아요,1\n", "cp949")
    with pytest.raises(UserError, match=r"a\.csv: the text is not utf-8 \(byte 0"):
        read(path, encoding="utf-8")
    with pytest.raises(UserError, match="neither utf-8 nor cp949"):
        find_encoding(Path(write("b.csv", "a\xff\xff", "latin-1")), "auto")
    with pytest.raises(UserError, match="unknown encoding 'utf-9'"):
        read(path, encoding="utf-9")


def test_bad_byte_is_counted_through_blocks(tmp_path):
    path = tmp_path / "a.txt"
    for before in ((1 << 20) - 1, 1 << 20, (1 << 20) + 5):
        path.write_bytes(b"a" * (before - 3) + "가".encode() + b"\xff")
        with pytest.raises(UserError, match=rf"byte {before} "):
            find_encoding(path, "utf-8")


@given(
    text=st.text(alphabet=st.sampled_from("가나힣abc, \n"), min_size=1),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp949"]),
)
def test_found_encoding_reads_back_what_was_written(tmp_path_factory, text, encoding):
    path = tmp_path_factory.mktemp("encoding") / "a.txt"
    path.write_bytes(text.encode(encoding))
    found = find_encoding(path, "auto")
    if found != "cp949" and encoding == "cp949":  # bytes that happen to be valid utf-8 too
        assert codecs.lookup(found).name.startswith("utf-8")
    else:
        assert path.read_bytes().decode(found) == text


def test_wrong_column_lists_what_is_there():
    assert find_column(" b ", ["a", "b "], "f", "data.text") == 1
    assert find_column("1", ["a", "b"], "f", "data.text") == 1
    with pytest.raises(
        UserError, match=r"f: there is no column 'c' \(data\.text\); the columns are '' \(unnamed\), 'a'"
    ):
        find_column("c", ["", "a"], "f", "data.text")
    with pytest.raises(UserError, match="there is no column '2'"):
        find_column("2", ["a", "b"], "f", "data.text")


def test_a_file_is_read_block_by_block(write, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK", 256)
    path = write("a.csv", "t,l\n" + "".join(f"글 {i},{i % 2}\n" for i in range(200)))
    blocks = list(read_table(Path(path), DataSettings(), lambda names: [0]))
    assert len(blocks) > 5
    assert [text for block in blocks for text in block[0].to_pylist()] == [f"글 {i}" for i in range(200)]
