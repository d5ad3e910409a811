"""Model files as former versions wrote them: they load for ever.

``tests/golden`` has files of every format that was ever released; each holds inputs and the predictions for them in its
metadata. Files are added there, never replaced.
"""

from pathlib import Path

import numpy as np
import pytest

from fastnn.models import load_model
from fastnn.models.model_file import VERSION

FILES = sorted((Path(__file__).parent / "golden").glob("*.fastnn"))


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
