"""The perceptron: the update rule, its convergence, labels and errors."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from fastnn import Perceptron

PICNIC = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T


def by_hand(x, target, learning_rate, passes):
    """The rule as it is written in the docstring, on rows in order."""
    w, b, mistakes = np.zeros(x.shape[1]), 0.0, []
    for _ in range(passes):
        mistakes.append(0)
        for row, wanted in zip(x, target, strict=True):
            error = wanted - (row @ w + b > 0)
            w, b = w + learning_rate * error * row, b + learning_rate * error
            mistakes[-1] += error != 0
        if not mistakes[-1]:
            break
    return w, b, mistakes


def separable(n=200, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    sums = x @ rng.normal(size=d) + 0.3
    return x[abs(sums) > 0.05], (sums > 0).astype(int)[abs(sums) > 0.05]


def test_weights_set_by_hand():
    perceptron = Perceptron()
    perceptron.coef_, perceptron.intercept_ = np.array([[5, 2, 4]]), np.array([-3])
    assert perceptron.decision_function([[0, 1, 1]]) == [3]
    np.testing.assert_array_equal(perceptron.predict([[0, 1, 1], [0, 1, 0]]), [1, 0])


def test_learns_the_picnic_rule():
    go = np.where(PICNIC @ [5, 2, 4] > 3, "go", "stay")
    perceptron = Perceptron(random_state=0).fit(PICNIC, go)
    assert perceptron.score(PICNIC, go) == 1.0
    assert perceptron.mistakes_[0][-1] == 0
    assert all(perceptron.mistakes_[0][:-1] > 0)


@pytest.mark.parametrize("learning_rate", [1.0, 0.25])
def test_updates_are_rosenblatts(learning_rate):
    x, y = separable()
    perceptron = Perceptron(learning_rate=learning_rate, shuffle=False).fit(x, y)
    w, b, mistakes = by_hand(x, y, learning_rate, 1000)
    np.testing.assert_allclose(perceptron.coef_[0], w, rtol=1e-12)
    np.testing.assert_allclose(perceptron.intercept_, [b], rtol=1e-12)
    np.testing.assert_array_equal(perceptron.mistakes_[0], mistakes)
    assert perceptron.n_iter_ == len(mistakes)


def test_calls_in_pieces_change_nothing(monkeypatch):
    x, y = separable()
    whole = Perceptron(random_state=3).fit(x, y)
    monkeypatch.setattr("fastnn.estimators.perceptron._PRODUCTS_PER_CALL", 1)
    pieces = Perceptron(random_state=3).fit(x, y)
    assert whole.n_iter_ > 2
    np.testing.assert_array_equal(pieces.coef_, whole.coef_)
    np.testing.assert_array_equal(pieces.mistakes_[0], whole.mistakes_[0])


def test_one_neuron_for_each_of_three_classes():
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    y = np.repeat([7, 8, 9], 30)
    x = corners[y - 7] + np.random.default_rng(0).uniform(-1, 1, size=(90, 2))
    perceptron = Perceptron(random_state=0).fit(x, y)
    assert perceptron.score(x, y) == 1.0
    assert perceptron.coef_.shape == (3, 2)
    assert perceptron.decision_function(x).shape == (90, 3)
    np.testing.assert_array_equal(perceptron.predict(corners), [7, 8, 9])


def test_classes_that_no_line_separates():
    with pytest.warns(ConvergenceWarning, match="max_iter=20"):
        perceptron = Perceptron(max_iter=20).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    assert perceptron.n_iter_ == 20


def test_same_seed_same_weights():
    x, y = separable(seed=5)
    first, again, other = (Perceptron(random_state=seed).fit(x, y) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert (first.coef_ != other.coef_).any()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Perceptron(max_iter=0).fit(PICNIC, PICNIC[:, 0]), ValueError, "max_iter"),
        (lambda: Perceptron(learning_rate=-1).fit(PICNIC, PICNIC[:, 0]), ValueError, "learning_rate"),
        (lambda: Perceptron().fit(PICNIC, np.zeros(8)), ValueError, "one class"),
        (lambda: Perceptron().fit(PICNIC, PICNIC[:4, 0]), ValueError, "inconsistent numbers of samples"),
        (lambda: Perceptron().predict(PICNIC), NotFittedError, "not fitted"),
        (lambda: Perceptron().fit(PICNIC, PICNIC[:, 0]).predict(PICNIC[:, :2]), ValueError, "2 features"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_weights_by_hand_must_fit():
    perceptron = Perceptron()
    perceptron.coef_, perceptron.intercept_ = [[1, 2]], [0]
    with pytest.raises(ValueError, match=r"coef_ of shape \(1, 2\).*3 features"):
        perceptron.predict(PICNIC)


def test_scikit_learns_own_checks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(Perceptron(max_iter=100))
