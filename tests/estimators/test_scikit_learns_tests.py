"""scikit-learn's own tests of its MLP, run on fastnn's estimators by exchanging the two imported names."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import sklearn.neural_network.tests
from sklearn.preprocessing import LabelBinarizer

import fastnn
from fastnn.data.samples import Samples
from fastnn.engine.evaluation import LossGradient

IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor\n"
EXCHANGED = {
    "float32": "from fastnn import MLPClassifier, MLPRegressor\n",
    "auto": """import functools
import fastnn
MLPClassifier = functools.partial(fastnn.MLPClassifier, dtype="auto")
MLPRegressor = functools.partial(fastnn.MLPRegressor, dtype="auto")
""",
}
PRIVATE = {"test_gradient": "calls _loss_grad_lbfgs; test_gradient_of_the_loss below does the same"}


@pytest.mark.parametrize("dtype", ["auto", pytest.param("float32", marks=pytest.mark.slow)])
def test_all_but_the_private_ones_pass(dtype, tmp_path):
    source = (Path(sklearn.neural_network.tests.__file__).parent / "test_mlp.py").read_text()
    assert IMPORT in source
    (tmp_path / "test_mlp.py").write_text(source.replace(IMPORT, EXCHANGED[dtype]))
    (tmp_path / "conftest.py").write_text("from sklearn.conftest import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--junit-xml=results.xml", "test_mlp.py"]
    script = f"import sys; sys.path.insert(0, {str(Path(fastnn.__file__).parent.parent)!r}); import pytest; "
    script += f"pytest.main({arguments!r})"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, timeout=600, check=True)
    cases = ElementTree.parse(tmp_path / "results.xml").getroot().iter("testcase")
    outcomes = {case.get("name"): [child.tag for child in case] for case in cases}
    failed = {name for name, tags in outcomes.items() if "failure" in tags or "error" in tags}
    assert len(outcomes) > 50
    assert failed == set(PRIVATE)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gradient_of_the_loss(activation, labels):
    """What 'lbfgs' is given, against central differences and scikit-learn's own."""
    rng = np.random.RandomState(42)
    X, y = rng.rand(5, 10), 1 + np.arange(1, 6) % labels
    settings = {"activation": activation, "hidden_layer_sizes": 10, "solver": "lbfgs", "alpha": 1e-2, "max_iter": 1}
    model = fastnn.MLPClassifier(dtype="float64", random_state=1, **settings).fit(X, y)
    engine = model._get_engine()
    targets = (y - 1.0)[:, np.newaxis]
    loss_gradient = LossGradient(engine, engine.plan.objective(model._loss()), Samples(X, targets))
    logs, gradient = (array.copy() for array in loss_gradient(engine.params))
    places = np.concatenate([place.ravel() for place in engine.plan.unpack(np.arange(len(engine.params)))])

    def loss_at(place, step):
        moved = engine.params.copy()
        moved[place] += step
        return loss_gradient(moved)[0][0]

    slopes = [(loss_at(place, 1e-5) - loss_at(place, -1e-5)) / 2e-5 for place in places]
    np.testing.assert_allclose(gradient[places], slopes, atol=1e-8)
    np.testing.assert_array_equal(np.delete(gradient, places), 0.0)  # of what pads the vector

    twin, one_hot = model.to_sklearn(), LabelBinarizer().fit_transform(y)
    twin._random_state = rng
    room = [[None] * 2 for _ in range(3)]
    value, coef_grads, _ = twin._backprop(X, one_hot, None, [X, None, None], *room)
    assert logs[0] == pytest.approx(value)
    np.testing.assert_allclose(engine.plan.unpack(gradient)[0], coef_grads[0], rtol=1e-9)
