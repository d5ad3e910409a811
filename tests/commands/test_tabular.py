import json
from dataclasses import asdict

import numpy as np
import pytest

from fastnn.commands.csv_table import Preparation, understand_target
from fastnn.commands.train_and_predict import csv_problem


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
        (["1", "1_0"], "regression", "a regression needs numbers, got '1_0'"),
        (["1", "inf"], "regression", "a regression needs numbers, got 'inf'"),
        ([*map(str, range(40)), "4x"], "auto", "most values are numbers, but row 41 of the data has '4x'"),
        (["1", "2", "1.0"], "auto", r"'1' and '1.0' are the same number"),
    ],
)
def test_targets_that_cannot_be_learnt(labels, task, message):
    with pytest.raises(ValueError, match=message):
        understand_target(labels, task, "t")


def test_a_label_that_is_missing_is_found_by_its_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x,kind\n1,a\n\n2,b\n3,\n")
    with pytest.raises(ValueError, match=r"target 'kind': line 5 has no value"):
        csv_problem(path, "kind", validation=0)


@pytest.mark.parametrize("value", [0.1, 7.0, -1e12, 1e-300, 0.0])
def test_a_small_change_of_a_constant_column_stays_small(value):
    x = np.full((1001, 1), value)
    x[::2] *= 1 + 2e-16  # rounding
    prepared = Preparation("regression", "t", ("a",), 2).scaled(x, np.arange(1001.0))
    np.testing.assert_allclose(prepared.inputs(x), 0, atol=1e-6)
    assert np.abs(prepared.inputs(x[:1] * 1.001)).max() <= 0.0011


def test_columns_too_large_to_be_scaled_are_named():
    x = np.array([[1.0, 1e200], [2.0, -1e200]])
    prepared = Preparation("regression", "t", ("a", "b"), 3)
    with pytest.raises(ValueError, match="column 'b': its numbers are too large to be scaled"):
        prepared.scaled(x, np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"column 'b': 1e\+200 is too large for float32"):
        prepared.inputs(x)
    np.testing.assert_array_equal(prepared.inputs(x, "float64"), x)


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
    with pytest.raises(ValueError, match="the model needs the columns b; the file has a, c$"):
        named.select(table("a,c\n1,2\n"))
    with pytest.raises(
        ValueError, match="needs the columns a, b; the file has 1, 2; does its first line"
    ):
        named.select(table("1,2\n3,4\n", header=True))
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
