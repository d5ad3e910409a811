"""The last link of predictions in float64, from raw outputs of any type."""

import numpy as np
import pytest
from fastnn.kernels import codes
from harness import assert_same_bits, tolerance
from scipy.special import expit, log_expit, logsumexp, softmax

from fastnn.engine.engine import Engine
from fastnn.engine.inference import finished
from fastnn.layers import Dense
from fastnn.lowering.lower import lower

LINKS = {
    "identity": lambda z: z,
    "exp": np.exp,
    "logistic": expit,
    "logistic_pair": lambda z: np.hstack([1 - expit(z), expit(z)]),
    "softmax": lambda z: softmax(z, axis=1),
    "log_logistic": log_expit,
    "log_logistic_pair": lambda z: np.hstack([log_expit(-z), log_expit(z)]),
    "log_softmax": lambda z: z - z.max(axis=1, keepdims=True) - logsumexp(z - z.max(axis=1, keepdims=True), 1)[:, None],
}
ODD = np.array([0.0, 1e-30, -1e-30, 20.0, -20.0, 100.0, -100.0, 500.0, -500.0, 3e4, -3e4, np.inf, -np.inf, np.nan])


def links_for(columns):
    """Codes and formulas of the links that so many outputs can have."""
    for name, formula in LINKS.items():
        if ("pair" in name and columns > 1) or ("softmax" in name and columns == 1):
            continue
        yield codes.LINKS.index(name), formula


def test_every_link_is_tested():
    assert ("activation", "raw", *LINKS) == codes.LINKS


def engine_for(dtype, hidden, columns, rng, function="sigmoid"):
    engine = Engine(lower([Dense(hidden, "relu"), Dense(columns, function)], 5, dtype))
    engine.set_weights([3.0 * rng.normal(size=shape) for shape in engine.plan.weight_shapes])
    return engine


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 17, 24, 100])
@pytest.mark.parametrize("hidden", [3, 40], ids=["in lanes", "in panels"])
def test_links_of_predictions(rng, dtype, hidden, columns):
    engine = engine_for(dtype, hidden, columns, rng)
    kernel, bias, last, last_bias = engine.get_weights()
    for rows in (1, 7, 96, 97, 300):
        x = rng.normal(size=(rows, 5)).astype(dtype)
        raw = engine.predict(x, link=codes.RAW)
        assert raw.dtype == dtype
        expected = np.maximum(x @ kernel + bias, 0) @ last + last_bias
        np.testing.assert_allclose(raw, expected, rtol=1e-4, atol=tolerance(dtype, 1e-3, 1e-9))
        for link, formula in links_for(columns):
            outputs = engine.predict(x, link=link)
            assert outputs.dtype == np.float64
            np.testing.assert_allclose(outputs, formula(raw.astype(np.float64)), rtol=1e-13, atol=1e-15)
            assert_same_bits(finished(link, raw), outputs)


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_odd_numbers(dtype, columns):
    raw = np.repeat(ODD[:, np.newaxis], columns, axis=1).astype(dtype)
    raw[:, -1] = np.roll(ODD, 3) if columns > 1 else ODD
    for link, formula in links_for(columns):
        expected = formula(raw.astype(np.float64))
        absolute = 1e-15 if "log_" in codes.LINKS[link] else 1e-300
        np.testing.assert_allclose(finished(link, raw), expected, rtol=1e-12, atol=absolute, err_msg=codes.LINKS[link])


def test_threads_do_not_matter(rng, dtype):
    for columns in (1, 24):
        engine, x = engine_for(dtype, 64, columns, rng), rng.normal(size=(100_000, 5)).astype(dtype)
        for link, _ in links_for(columns):
            expected = engine.predict(x, threads=1, link=link)
            for threads in (2, 3):
                assert_same_bits(engine.predict(x, threads=threads, link=link), expected)
