"""CSV files of all kinds: what is read, what is refused, and that the message says where."""

import csv
import gzip
import io
import os
import threading
import time

import numpy as np
import pytest

from fastnn.commands.csv_files import CsvFile
from fastnn.commands.csv_table import Preparation


def test_header_is_found_and_columns_are_read(table):
    file = table("a, b,kind\n1,2,x\n\n3,4.5e1, y \n")
    assert (file.names, file.has_header) == (["a", "b", "kind"], True)
    numbers, labels = file.read([1, 0], 2)
    np.testing.assert_array_equal(numbers, [[2, 1], [45, 3]])
    assert labels == ["x", "y"]


def test_a_first_line_of_numbers_is_no_header_unless_told(table):
    file = table("1,2\n3,4\n")
    assert (file.names, file.has_header) == (["column_1", "column_2"], False)
    assert len(file.read([0])[0]) == 2
    file = table("1,2\n3,4\n", header=True)
    assert file.names == ["1", "2"]
    assert len(file.read([0])[0]) == 1


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators(table, separator):
    assert table(separator.join("ab") + "\n").names == ["a", "b"]


def test_quotes_byte_order_mark_and_gzip(tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress('\ufeff"a, b",c\n1,2\n'.encode()))
    assert CsvFile(path).names == ["a, b", "c"]


def test_columns_are_found_by_name_then_by_number(table):
    file = table("a,b,0\n1,2,3\n")
    assert [file.find(name) for name in ("b", "0", "-1", "1")] == [1, 2, 2, 1]
    with pytest.raises(ValueError, match=r"no column 'd'; the columns are a, b, 0"):
        file.find("d")
    with pytest.raises(ValueError, match="no column '3'"):
        file.find("3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,red\n", r"line 3, column 'b': expected a finite number, got 'red'.*--drop"),
        ("a,b\n1,2\n\n3,\n", r"line 4, column 'b': the value is missing \(''\)"),
        ("a,b\nNaN,2\n", r"line 2, column 'a': the value is missing \('NaN'\)"),
        ("a,b\ninf,2\n", r"line 2, column 'a': expected a finite number, got 'inf'"),
        ("a,b\n1,2,3\n", "line 2: expected 2 cells, got 3"),
        ("a,b\n", "no row of data below the header"),
        ("\n", "the first line is empty"),
        ("", "the first line is empty"),
        ("a,b,a\n1,2,3\n", "several columns are named 'a'"),
    ],
)
def test_bad_tables_are_refused_with_the_place(table, text, message):
    with pytest.raises(ValueError, match=message):
        table(text).read([0, 1])


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match="not a text file in UTF-8"):
        CsvFile(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1,2,a\n3,4,b\n", None),  # a target of text in the first row
        ("1,2,a\n", None),
        ("NA,2,a\n3,4,b\n", None),
        ("?,,a\n3,4,b\n", None),
        ("100_1,2\n1,2\n", None),  # numbers written badly are no names
        ("inf,nan\n1,2\n", None),
        ('"1,5";2\n1;2\n', None),
        ("a,b,kind\n1,2,x\n", ["a", "b", "kind"]),
        ("a,b,0\n1,2,3\n", ["a", "b", "0"]),
        (",a,b\n0,1,2\n", ["", "a", "b"]),
        ("Na,Cl,y\n0,1,2\n", ["Na", "Cl", "y"]),
        ("2019_a,1st\n1,2\n", ["2019_a", "1st"]),
        ("a,b\n", ["a", "b"]),
        ("a\n1\n", ["a"]),
    ],
)
def test_what_the_first_line_is_taken_for(table, text, names):
    file = table(text)
    assert file.has_header == (names is not None)
    if names:
        assert file.names == names
        assert file.decision == f"first line taken as names: {', '.join(names)}"
    else:
        assert file.names == [f"column_{i + 1}" for i in range(len(file.names))]
        assert file.decision == "first line taken as data (--header: it has names)"


@pytest.mark.parametrize("text", ["1,x2,5\n3,4,6\n", "id,2019,2020\n3,4,5\n"])
def test_a_first_line_that_may_be_either_is_asked_about(table, text):
    with pytest.raises(ValueError, match="does line 1 name the columns.* say --header or --no-header"):
        table(text)
    assert table(text, header=True).has_header
    assert not table(text, header=False).has_header


@pytest.mark.parametrize(
    "cell",
    ["100_1", "1\u0662", "\u0661", "0x10", "1e400", "-inf", "infinity", "1\xa0", "\u22121", "1 000", "1d5", "--1", "."],
)
@pytest.mark.parametrize("others", ["x_1,größe", "a,b"])
def test_only_what_all_programs_take_for_numbers_is_one(table, cell, others):
    with pytest.raises(ValueError, match="line 3, column .*: expected a finite number, got"):
        table(f"{others}\n1,2\n{cell},3\n").read([0, 1])


def test_numbers_in_all_usual_forms(table):
    cells = ["+1", "-.5", "5.", " 7 ", "1e3", "1E-3", '"8"', "1e308", "\t9", "00"]
    found, _ = table(f"a_b;größe\n{chr(10).join(f'{cell};1e308' for cell in cells)}\n").read([0, 1])
    np.testing.assert_array_equal(found[:, 0], [1, -0.5, 5, 7, 1000, 0.001, 8, 1e308, 9, 0])


@pytest.mark.parametrize("cell", ["1,5", "1,234", "1,234,567.8"])
def test_commas_in_numbers_are_named(table, cell):
    with pytest.raises(ValueError, match=f"line 2, column 'a': .* got '{cell}'; write it with a decimal point"):
        table(f'a;b\n"{cell}";1\n').read([0])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(tmp_path, end):
    path = tmp_path / "table.csv"
    path.write_bytes(end.join(["a,b", "1,2", "", "   ", "3,4", '"5","6"', "", "7,x"]).encode())
    file = CsvFile(path)
    assert file.lines() == [2, 5, 6, 8]
    with pytest.raises(ValueError, match="line 8, column 'b'"):
        file.read([0, 1])


def test_a_line_break_in_a_name_is_a_space(table):
    file = table('"price\nin EUR",b\n1,2\n')
    assert file.names == ["price in EUR", "b"]
    assert file.lines() == [3]


def test_separators_in_names_do_not_count(table):
    assert table('a,"b;c;d;e"\n1,2\n').names == ["a", "b;c;d;e"]


@pytest.mark.parametrize("rows", [1, 200_000])
def test_a_quote_that_is_never_closed_is_found(table, rows):
    text = 'a,b\n1,2\n1,"2' + "\n3,4" * rows
    with pytest.raises(ValueError, match="line 3: a quote is opened here and never closed"):
        table(text).read([0])


def test_a_quote_closed_within_a_cell_is_refused(table):
    with pytest.raises(ValueError, match="line 2: a quote is closed in the middle of a cell"):
        table('a,b\n1,"x"y\n').read([0])


def test_long_cells_are_read_and_endless_ones_refused(table, monkeypatch):
    limit = csv.field_size_limit()
    numbers, labels = table(f"a,b\n1,{'x' * 200_000}\n").read([0], 1)
    assert (numbers.tolist(), len(labels[0])) == ([[1.0]], 200_000)
    monkeypatch.setattr("fastnn.commands.csv_files._LONGEST_CELL", 1000)
    with pytest.raises(ValueError, match="line 2: a cell has more than .* is a quote never closed"):
        table(f"a,b\n1,{'x' * 2000}\n").read([0])
    assert csv.field_size_limit() == limit


def test_a_wrong_byte_far_down_is_found(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\r\n" + b"1,2\r\n" * 50_000 + b"\xe4,2\r\n")
    with pytest.raises(ValueError, match=r"table\.csv, line 50002: not a text file in UTF-8 \(byte 0xe4"):
        CsvFile(path).read([0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,\0\n", "line 2: not a text file in UTF-8 .a zero byte"),
        ("a,b\n1,2\n".encode("utf-16"), "text in UTF-16; save it in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1: not a text file in UTF-8"),
        (b"PK\x03\x04...", "a zip archive or a workbook"),
        (gzip.compress(b"a,b\n1,2\n" * 9999)[:-12], "is damaged or incomplete .*; get it again"),
        (gzip.compress(b"a,b\n1,2\n" * 9999)[:40], "is damaged or incomplete"),
        (gzip.compress(b"a,b\n1,2\n")[:-8] + bytes(8), "is damaged or incomplete"),
        (b"\x1f\x8b is no gzip file", "is damaged or incomplete"),
    ],
    ids=["zero-byte", "utf-16", "utf-16-le", "zip", "cut", "cut-early", "wrong-sum", "no-gzip"],
)
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_files_that_are_no_tables(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((OSError, ValueError), match=f"{name}.*{message}"):
        CsvFile(path).read([0, 1])


def test_gzip_is_known_by_its_content(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert CsvFile(path).names == ["a", "b"]
    plain = tmp_path / "table.csv.gz"
    plain.write_bytes(b"a,b\n1,2\n")
    assert CsvFile(plain).names == ["a", "b"]


def test_what_is_not_even_a_file(tmp_path):
    with pytest.raises(OSError, match="is a folder; expected a CSV file"):
        CsvFile(tmp_path)
    with pytest.raises(FileNotFoundError):
        CsvFile(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_read_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"a,kind\n" + b"1,x\n" * 20_000,))
    writer.start()
    numbers, labels = CsvFile(tmp_path / "pipe").read([0], 1)
    writer.join()
    assert (numbers.shape, set(labels)) == ((20_000, 1), {"x"})


def test_many_columns_take_no_time_to_find(tmp_path):
    """Names are looked up in a table; a search through all of them for each name takes a minute."""
    count = 40_000
    text = io.StringIO()
    csv.writer(text).writerows([[f"c{i}" for i in range(count)], [0.5] * count])
    (tmp_path / "wide.csv").write_text(text.getvalue())
    begun = time.process_time()
    file = CsvFile(tmp_path / "wide.csv")
    prepared = Preparation("regression", "t", tuple(reversed(file.names)), count)
    assert prepared.select(file) == list(reversed(range(count)))
    assert file.read(range(count))[0].shape == (1, count)
    assert time.process_time() - begun < 15
