"""Model files and pickles as former versions wrote them: they load for ever.

``tests/golden`` has files of every format that was ever released; each holds inputs and the predictions for them in its
metadata. ``tests/golden/pickles`` has objects of every public class, under the names that their modules had. Files are
added there, never replaced.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest

from fastnn.common.old_modules import NEW_NAMES
from fastnn.models import load_model
from fastnn.models.model_file import VERSION, ModelFileError

FILES = sorted((Path(__file__).parents[1] / "golden").glob("*.fastnn"))


def test_there_is_a_file_of_every_format():
    assert {int(path.name.split("-")[1]) for path in FILES} == set(range(1, VERSION + 1))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_old_files_load(path):
    model = load_model(path)
    x = np.array(model.metadata["x"])
    np.testing.assert_allclose(model.predict(x), model.metadata["predictions"], rtol=1e-5)
    assert (model.optimizer.learning_rate, model.optimizer.beta_1) == (0.01, 0.8)
    record = model.record()
    if "training" in path.name:
        assert (record.epoch, record.epochs, len(record.history["loss"])) == (3, [0, 1, 2], 3)
        assert model.optimizer_state()["counters"][0] == 6
    else:
        assert record is None
    model.fit(x, [0, 1, 2, 1], epochs=4, initial_epoch=3, verbose=0)


PICKLES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "golden" / "pickles").glob("*.pickle"))}


@pytest.fixture
def unpickled(request):
    return pickle.loads(PICKLES[request.param].read_bytes())


def of(*names):
    return pytest.mark.parametrize("unpickled", names, indirect=True, ids=str)


@of("classifier", "classifier-of-three", "perceptron", "regressor", "regressor-lbfgs")
@pytest.mark.filterwarnings("ignore:Trying to unpickle estimator")  # of another version of scikit-learn
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_old_pickles_of_estimators(unpickled):
    estimator, x, predictions = unpickled["estimator"], unpickled["x"], unpickled["predictions"]
    np.testing.assert_allclose(estimator.predict(x), predictions, rtol=1e-5)
    assert estimator.get_params() == unpickled["parameters"]
    assert estimator.fit(x, predictions).predict(x).shape == predictions.shape


@of("sequential")
def test_old_pickles_of_models(unpickled):
    model, x = unpickled["model"], unpickled["x"]
    np.testing.assert_allclose(model.predict(x, verbose=0), unpickled["predictions"], rtol=1e-5)
    assert model.optimizer_state()["counters"][0] == unpickled["steps"]
    model.fit(x, x[:, 0] > 0, epochs=1, verbose=0)


@of("callbacks", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers", "schedules")
def test_old_pickles_of_declarations(unpickled):
    for found, (name, expected) in zip(unpickled["objects"], unpickled["descriptions"], strict=True):
        assert type(found).__name__ == name
        config = found.get_config() if hasattr(found, "get_config") else vars(found)
        assert {key: config[key] for key in expected} == expected


@of("errors", "history-object", "record")
def test_old_pickles_of_what_fits_leave(unpickled):
    if isinstance(unpickled, list):
        assert isinstance(unpickled[0], ModelFileError)
    else:
        assert len(unpickled.history["loss"]) == 3


def test_every_old_name_leads_somewhere(run_python):
    code = f"import importlib\nfor name in {sorted(NEW_NAMES)}: importlib.import_module(name).__getattr__"
    run_python(code)
    with pytest.raises(ModuleNotFoundError):
        __import__("fastnn.saved")
