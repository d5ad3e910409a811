"""Sparse rows give, bit for bit, what the same rows give as a dense array, on any team."""

import numpy as np
import pytest
from harness import assert_same_bits
from scipy import sparse

from fastnn import losses, optimizers
from fastnn.data.samples import Samples
from fastnn.engine.engine import Engine
from fastnn.engine.evaluation import LossGradient
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Dense, Dropout
from fastnn.lowering.lower import lower
from fastnn.regularizers import L2

NETWORKS = {
    "relu": ([Dense(40, "relu", kernel_regularizer=L2(0.01)), Dense(5, "softmax")], 5),
    "gelu": ([Dense(17, "gelu"), Dropout(0.2), Dense(3, "tanh"), Dense(5, "softmax")], 5),
    "softmax inside": ([Dense(19, "softmax"), Dense(5, "softmax")], 5),
    "no bias": ([Dense(16, "tanh", use_bias=False), Dense(5, "softmax")], 5),
    "one layer": ([Dense(5, "softmax", kernel_regularizer=L2(0.1))], 5),
    "one output": ([Dense(1, "sigmoid")], 1),
}


def rows_of(dtype):
    """Sparse rows with an empty row, an empty column and a full row, and the same as a dense array."""
    x = sparse.random(150, 61, 0.08, format="lil", random_state=0, dtype=dtype)
    x[3], x[:, 7] = 0.0, 0.0
    x[5] = np.arange(1.0, 62.0, dtype=dtype) / 61
    return x.tocsr(), x.toarray()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_sparse_is_dense(dtype, name, threads):
    layers, outputs = NETWORKS[name]
    rng = np.random.default_rng(0)
    loss = losses.SparseCategoricalCrossentropy() if outputs > 1 else losses.BinaryCrossentropy()
    y = rng.integers(0, max(2, outputs), (150, 1)).astype(dtype)
    weights = rng.uniform(size=150).astype(dtype)
    start = [0.3 * rng.normal(size=shape) for shape in lower(layers, 61, dtype.name).weight_shapes]
    results = []
    for x in rows_of(dtype):
        plan = lower(layers, 61, dtype.name, l2_per_row=True)
        engine, objective = Engine(plan, threads=threads), plan.objective(loss)
        engine.set_weights(start)
        _, gradient = LossGradient(engine, objective, Samples(x, y, weights))(engine.params)
        engine.reset_optimizer(optimizers.Adam(0.01))
        run = engine.train(objective, Samples(x, y, weights), RunOptions(batch_size=32, epochs=3, shuffle=True, seed=3))
        while run.done < 15:
            run.advance(15)
        found = [gradient.copy(), engine.params, engine.slots, run.logs(2), engine.predict(x)]
        results.append([*found, engine.evaluate(objective, Samples(x, y, weights)), engine.predict(x[:1])])
    assert_same_bits(*results)


def test_entries_in_any_order_and_in_parts(dtype):
    x, dense = rows_of(dtype)
    for start, stop in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        for array in (x.data, x.indices):
            array[start:stop] = array[start:stop][::-1].copy()
    place = x.indptr[10]
    x.data[place] /= 2.0  # and the same entry once more
    parts = [np.insert(array, place, array[place]) for array in (x.data, x.indices)]
    messy = sparse.csr_array((*parts, x.indptr + (np.arange(151) > 10)), shape=x.shape)
    np.testing.assert_allclose(messy.toarray(), dense)
    plan = lower([Dense(9, "tanh"), Dense(2)], 61, dtype.name)
    engine, objective = Engine(plan), plan.objective(losses.MeanSquaredError())
    engine.set_weights([np.random.default_rng(0).normal(size=shape) for shape in plan.weight_shapes])
    y = np.ones((150, 2), dtype)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(engine.predict(messy), engine.predict(dense), **close)
    gradients = [LossGradient(engine, objective, Samples(rows, y))(engine.params)[1].copy() for rows in (messy, dense)]
    np.testing.assert_allclose(*gradients, **close)


def test_nan_and_infinity_are_not_multiplied_by_absent_entries():
    layers = [Dense(3)]
    engine = Engine(lower(layers, 2, "float64"))
    engine.set_weights([np.array([[1.0, 2.0, np.inf], [np.nan, 1.0, 1.0]]), np.zeros(3)])
    np.testing.assert_array_equal(engine.predict(sparse.csr_matrix([[2.0, 0.0]])), [[2.0, 4.0, np.inf]])
