import gzip
import json
from dataclasses import asdict

import numpy as np
import pytest

from fastnn.jobs import csv_problem
from fastnn.tabular import CsvFile, Preparation, understand_target


@pytest.fixture
def table(tmp_path):
    """A function that writes text to a CSV file and opens it."""

    def table(text, header=None):
        path = tmp_path / "table.csv"
        path.write_text(text)
        return CsvFile(path, header)

    return table


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
    ("labels", "task", "expected"),
    [
        (["b", "a", "b"], "auto", ("classification", ("a", "b"))),
        (["10", "9", "10"], "auto", ("classification", ("9", "10"))),
        ([str(i) for i in range(31)], "auto", ("regression", ())),
        (["1.5", "2", "3"], "auto", ("regression", ())),
        (["1", "2"], "regression", ("regression", ())),
        (["1.5", "2"], "classification", ("classification", ("1.5", "2"))),
    ],
)
def test_what_a_target_means(labels, task, expected):
    assert understand_target(labels, task, "t") == expected


@pytest.mark.parametrize(
    ("labels", "task", "message"),
    [
        (["a", "", "b"], "auto", r"row 2 of the data has no value \(''\)"),
        (["a", "a"], "auto", "at least two classes, got only 'a'"),
        (["1", "x"], "regression", "a regression needs numbers, got 'x'; use --task classification"),
    ],
)
def test_targets_that_cannot_be_learnt(labels, task, message):
    with pytest.raises(ValueError, match=message):
        understand_target(labels, task, "t")


def test_preparation_scales_encodes_and_survives_json(rng):
    x, y = rng.normal(5, 3, (50, 2)), rng.normal(100, 10, 50)
    x[:, 1] = 7  # constant
    prepared = Preparation("regression", "t", ("a", "b"), 3).scaled(x, y)
    assert Preparation.from_dict(json.loads(json.dumps(asdict(prepared)))) == prepared
    inputs = prepared.inputs(x)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(inputs.std(axis=0), [1, 0], atol=1e-6)
    targets = prepared.targets(y)
    np.testing.assert_allclose([targets.mean(), targets.std()], [0, 1], atol=1e-12)
    np.testing.assert_allclose(prepared.decode(targets[:, np.newaxis]), y)

    three = Preparation("classification", "t", ("a",), 2, classes=("x", "y", "z"))
    assert three.encode(["z", "x"]).tolist() == [2, 0]
    assert three.decode(np.eye(3)[[2, 0]]) == ["z", "x"]
    two = Preparation("classification", "t", ("a",), 2, classes=("no", "yes"))
    assert two.decode(np.array([[0.4], [0.6]])) == ["no", "yes"]


def test_features_are_selected_by_name_or_by_place(table):
    named = Preparation("regression", "t", ("a", "b"), 4)
    assert named.select(table("c,b,a\n1,2,3\n")) == [2, 1]
    with pytest.raises(ValueError, match="the model needs the columns b; the file has a, c"):
        named.select(table("a,c\n1,2\n"))
    with pytest.raises(ValueError, match="the file has no header line"):
        named.select(table("1,2\n"))
    nameless = Preparation("regression", "column_1", ("column_2", "column_4"), 4, has_header=False)
    assert nameless.select(table("1,2\n")) == [0, 1]
    assert nameless.select(table("1,2,3,4\n")) == [1, 3]
    with pytest.raises(ValueError, match=r"needs 2 columns \(or 4, .*\); the file has 3"):
        nameless.select(table("1,2,3\n"))


def test_csv_problem_splits_each_class_alike(tmp_path, rng):
    path = tmp_path / "table.csv"
    rows = [f"{i},{rng.normal()},{'rare' if i % 5 == 0 else 'common'}" for i in range(100)]
    path.write_text("\n".join(["id,x,kind", *rows]))
    problem = csv_problem(path, "kind", drop=["id"], validation=0.2)
    assert problem.preparation.features == ("x",)
    assert problem.preparation.classes == ("common", "rare")
    assert (len(problem.x), len(problem.x_validation)) == (80, 20)
    assert problem.y_validation.sum() == 4
    assert len(csv_problem(path, "kind", validation=0).x) == 100
    with pytest.raises(ValueError, match="no column is left as a feature"):
        csv_problem(path, "kind", drop=["id", "x"])
    with pytest.raises(ValueError, match=r"--validation 0.001 of 100 rows leaves one part without rows"):
        csv_problem(path, "kind", validation=0.001)
