"""Targets as users have them: frames, columns in memory one by one, sparse labels, few classes."""

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = 60
X, BINARY = make_classification(ROWS, 5, random_state=0)
LABELS = make_multilabel_classification(ROWS, 5, n_classes=4, random_state=0)[1]
NUMBERS = make_regression(ROWS, 5, n_targets=3, random_state=0)[1] / 100


def fitted(y, **settings):
    kind = fastnn.MLPRegressor if y is NUMBERS or np.asarray(y).dtype.kind == "f" else fastnn.MLPClassifier
    model = kind(hidden_layer_sizes=4, random_state=0, **{"max_iter": 5, "dtype": "float64"} | settings)
    return model.fit(X, y, validation_data=(X, y)) if settings.get("solver") != "lbfgs" else model.fit(X, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("y", [LABELS, NUMBERS], ids=["labels", "numbers"])
def test_targets_that_lie_column_by_column(y, solver):
    """As those of a data frame do."""
    rows, columns = fitted(y, solver=solver), fitted(np.asfortranarray(y), solver=solver)
    np.testing.assert_array_equal(rows.coefs_[0], columns.coefs_[0])
    assert rows.loss_ == columns.loss_
    if solver == "adam":
        assert rows.validation_loss_curve_ == columns.validation_loss_curve_
    frame = pytest.importorskip("pandas").DataFrame(y)
    np.testing.assert_array_equal(rows.coefs_[0], fitted(frame, solver=solver).coefs_[0])
