"""A program as people freeze them: it fits and predicts with all that fastnn loads only when it is needed."""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from fastnn.kernels.compiler import program_cache, sources

import fastnn
from fastnn.optimizers import Adam

x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
y = (x.sum(axis=1) > 0).astype("float32")
fastnn.set_random_seed(0)


def network(units, **options):
    """Return what a network of all kinds of layers predicts, when it has been saved and loaded again."""
    layers = [
        fastnn.Dense(units, "relu"), fastnn.BatchNormalization(), fastnn.LayerNormalization(), fastnn.Dropout(0.1),
        fastnn.Dense(1, "sigmoid"),
    ]  # fmt: skip
    model = fastnn.Sequential([fastnn.Input((4,)), *layers], dtype="mixed_bfloat16")
    model.compile(Adam(clipnorm=1.0), "binary_crossentropy", **options)
    model.fit(x, y, epochs=3, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.fastnn"))
        loaded = fastnn.load_model(Path(folder, "model.fastnn"))
    return loaded.predict(x, verbose=0).sum()


warnings.simplefilter("ignore")  # few epochs; a CPU without bfloat16
for case in sys.argv[1:]:
    if case == "network":
        print(case, network(8, jit_compile=True))
    elif case == "another network":
        try:
            network(7, jit_compile=True)
        except RuntimeError as error:
            print(case, error)
    elif case == "estimator":
        print(case, fastnn.MLPClassifier((4,), max_iter=3, random_state=0).fit(x, y).predict_proba(x).sum())
    else:
        print(case, (sources.digest() or b"").hex(), program_cache.kernel_folder("a"))
