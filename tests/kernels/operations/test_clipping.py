"""Gradients clipped by value, by the norm of each weight array, by that of all: the oracle's steps, and PyTorch's."""

import numpy as np
import pytest
from fastnn.kernels.host import cpu
from fastnn.kernels.reference import optimizers
from harness import Problem, assert_close, assert_same_bits, finish_run, tolerance
from test_optimizer_kernels import classifier, ten_steps

from fastnn.data.samples import Samples
from fastnn.engine.evaluation import LossGradient
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Activation, BatchNormalization, Dense, LayerNormalization
from fastnn.lowering import plan
from fastnn.models import Sequential, load_model
from fastnn.optimizers import SGD, Adagrad, Adam, AdamW, Lion, Nadam, RMSprop
from fastnn.optimizers.schedules import ExponentialDecay
from fastnn.regularizers import L2

LIMITS = {"value": {"clipvalue": 0.02}, "norm": {"clipnorm": 0.1}, "global norm": {"global_clipnorm": 0.2}}
limits = pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)


def normalized(**options):
    """Both normalizations, one without gamma and one without beta, penalties, a layer without bias."""
    layers = [
        Dense(37, use_bias=False, kernel_regularizer=L2(0.02)), BatchNormalization(), Activation("tanh"),
        Dense(65, "gelu"), LayerNormalization(center=False), Dense(18, kernel_regularizer=L2(0.01)),
        BatchNormalization(scale=False), Activation("elu"), Dense(5, "softmax"),
    ]  # fmt: skip
    return Problem(layers, 50, "sparse_categorical_crossentropy", rows=131, weighted=True, **options)


def wide(**options):
    """Sums of squares of several blocks, pairs of panels and single ones."""
    return Problem([Dense(145, "relu"), Dense(49, "tanh"), Dense(10, "softmax")], 200, "categorical_crossentropy",
                   rows=60, **options)  # fmt: skip


@pytest.mark.covering
@limits
@pytest.mark.parametrize(
    "optimizer", [SGD, RMSprop, AdamW, Adagrad, Nadam, Lion], ids=lambda optimizer: optimizer.name
)
def test_ten_steps_are_the_oracles(dtype, optimizer, limit):
    problem, optimizer = classifier(weighted=True), optimizer(0.005, **limit)
    engine, _, logs = problem.train(dtype, optimizer, **ten_steps())
    weights, expected = problem.oracle(optimizer, **ten_steps())
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-5, 1e-12))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-12))


@limits
def test_limits_that_are_never_reached_change_nothing(dtype, limit):
    problem = classifier()
    plain, _, logs = problem.train(dtype, Adam(0.01), **ten_steps())
    far = {name: 1e6 for name in limit}
    engine, _, same_logs = problem.train(dtype, Adam(0.01, **far), **ten_steps())
    assert_close(engine.get_weights(), plain.get_weights(), tolerance(dtype, 1e-6, 1e-15))
    np.testing.assert_allclose(same_logs, logs, rtol=tolerance(dtype, 1e-6, 1e-15))
    near, _, _ = problem.train(dtype, Adam(0.01, **limit), **ten_steps())
    assert abs(near.get_weights()[0] - plain.get_weights()[0]).max() > 1e-4


@pytest.mark.parametrize("limit", [{"clipvalue": 0.02}, {"global_clipnorm": 0.2}], ids=["value", "global norm"])
def test_ten_steps_are_pytorchs(dtype, limit):
    torch = pytest.importorskip("torch")
    problem = classifier()
    engine, _, _ = problem.train(dtype, SGD(0.1, momentum=0.9, **limit), **ten_steps())

    parameters = [torch.tensor(w.astype(dtype), requires_grad=True) for w in problem.weights]
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = parameters
    step, clipped = torch.optim.SGD(parameters, lr=0.1, momentum=0.9), 0
    x, classes = torch.tensor(problem.x.astype(dtype)), torch.tensor(problem.y[:, 0]).long()
    for rows in torch.arange(50).split(5):
        hidden = torch.relu(torch.tanh(x[rows] @ kernel_1 + bias_1) @ kernel_2 + bias_2)
        value = torch.nn.functional.cross_entropy(hidden @ kernel_3 + bias_3, classes[rows])
        value = value + 0.01 * (kernel_1**2).sum() + 0.003 * (kernel_3**2).sum()
        step.zero_grad()
        value.backward()
        if "clipvalue" in limit:
            torch.nn.utils.clip_grad_value_(parameters, limit["clipvalue"])
        else:
            norm = torch.nn.utils.clip_grad_norm_(parameters, limit["global_clipnorm"])
            clipped += norm.item() > limit["global_clipnorm"]
        step.step()
    assert clipped in (0, 10)
    # PyTorch divides by the norm + 1e-6
    theirs = [parameter.detach().numpy() for parameter in parameters]
    assert_close(engine.get_weights(), theirs, tolerance(dtype, 1e-5, 1e-9 if "clipvalue" in limit else 1e-5))


@limits
@pytest.mark.parametrize("network", [normalized, wide])
def test_networks_of_all_kinds(dtype, network, limit):
    problem, options = network(), {"batch_size": 31, "epochs": 2}
    optimizer = SGD(0.05, momentum=0.9, **limit)
    engine, _, logs = problem.train(dtype, optimizer, 2, **options)
    weights, expected = problem.oracle(optimizer, **options)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 2e-5, 1e-11))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-11))


@limits
@pytest.mark.parametrize("network", [normalized, wide])
def test_the_same_bits_on_any_team(network, limit):
    runs = []
    for threads in (1, 2, 3, 2):
        engine, _, logs = network().train("float32", Adam(0.01, **limit), threads, batch_size=64, epochs=2)
        runs.append([engine.params, engine.slots, logs])
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


@limits
def test_batches_that_are_shared_by_rows(dtype, limit):
    layers = [Dense(20, "tanh", kernel_regularizer=L2(0.01)), Dense(3)]
    problem = Problem(layers, 5, "mean_squared_error", rows=1605, weighted=True)
    options, optimizer = {"batch_size": 1600, "epochs": 3, "seed": 3}, Adam(0.01, **limit)
    weights, expected = problem.oracle(optimizer, **options)
    runs = []
    for threads in (1, 2, 3):
        engine, _, logs = problem.train(dtype, optimizer, threads, **options)
        assert engine.plan.segments(options["batch_size"]) == 8
        assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-4, 1e-11))
        np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-11))
        runs.append([engine.params, engine.slots, logs])
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


@pytest.mark.slow
@limits
def test_mixed_precision(limit):
    """Rounded weights follow the clipped step: further steps and predictions see them."""
    if not cpu.has_bfloat16():
        pytest.skip("no products of bfloat16 here")
    options, optimizer = {"batch_size": 20, "epochs": 3, "shuffle": False}, SGD(0.05, momentum=0.9, **limit)
    problem = wide(mixed=True)
    engine, _, logs = problem.train("float32", optimizer, 2, **options)
    weights, expected = problem.oracle(optimizer, **options)
    np.testing.assert_allclose(logs, expected, rtol=2e-3)
    assert_close(engine.get_weights(), weights, 2e-3)
    rounded = engine.params.copy()
    engine.set_weights(engine.get_weights())
    assert_same_bits(engine.params, rounded)


@pytest.mark.slow
@limits
def test_sparse_rows(limit):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    problem, options = classifier(), {"batch_size": 5, "epochs": 2, "shuffle": False, "seed": 0}
    problem.x[np.random.default_rng(0).random(problem.x.shape) < 0.5] = 0.0
    optimizer = Adam(0.01, **limit)
    weights, _ = problem.oracle(optimizer, **options)
    engine, objective = problem.engine("float64")
    engine.reset_optimizer(optimizer)
    x, y, _ = problem.data("float64")
    finish_run(engine.train(objective, Samples(scipy_sparse.csr_array(x), y), RunOptions(**options)))
    assert_close(engine.get_weights(), weights, 1e-12)


def test_the_gradient_alone_is_not_clipped():
    problem = classifier()
    engine, objective = problem.engine("float64")
    engine.reset_optimizer(SGD(0.1, clipvalue=1e-3))
    _, gradients = problem.gradients()
    assert_close(engine.gradient(objective, problem.samples("float64")), gradients, 1e-13)
    loss_gradient = LossGradient(engine, objective, problem.samples("float64"))
    assert loss_gradient(engine.params[: engine.plan.n_parameters])[0][0] > 0.0


def test_the_oracle_by_hand():
    """Norms 5 and 12 of two arrays, 13 together."""
    gradients = [np.array([[3.0, -4.0]]), np.array([12.0])]
    by_value = optimizers.clipped(gradients, 3.5, 0.0, 0.0)
    assert_close(by_value, [np.array([[3.0, -3.5]]), np.array([3.5])], 1e-15)
    by_norm = optimizers.clipped(gradients, 0.0, 6.0, 0.0)
    assert_close(by_norm, [gradients[0], np.array([6.0])], 1e-15)
    by_all = optimizers.clipped(gradients, 0.0, 0.0, 6.5)
    assert_close(by_all, [g / 2.0 for g in gradients], 1e-15)


def test_nan_and_huge_gradients(dtype):
    """One NaN makes all gradients NaN by the global norm, and stays in its array by the arrays' own."""
    problem = Problem([Dense(9, "tanh"), Dense(2)], 5, "mean_squared_error", rows=20)
    problem.x[:, 3] = np.nan
    engine, _, _ = problem.train(dtype, SGD(0.1, global_clipnorm=1.0), batch_size=20, epochs=1)
    assert all(np.isnan(weight).all() for weight in engine.get_weights())
    problem.x[:, 3], problem.y[:] = 1.0, 1e12
    engine, _, _ = problem.train(dtype, SGD(0.1, clipnorm=0.5), batch_size=20, epochs=1)
    for after, before in zip(engine.get_weights(), problem.weights, strict=True):
        assert np.linalg.norm(after - before) == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clipnorm": 1.0, "clipvalue": 0.5}, "only one of.*clipnorm=1.0, clipvalue=0.5"),
        ({"clipvalue": 1.0, "global_clipnorm": 0.5}, "only one of"),
        ({"clipnorm": 0.0}, "clipnorm must be > 0"),
        ({"global_clipnorm": -1.0}, "global_clipnorm must be > 0"),
        ({"weight_decay": -0.1}, "weight_decay must be >= 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Adam(**arguments)


def test_random_cuts_of_a_step(monkeypatch):
    """A run in single steps is the run in one call."""
    monkeypatch.setattr(plan, "SMALL_PARAMETERS", 0)
    problem, optimizer = classifier(), Nadam(0.01, clipnorm=0.1)
    whole, _, _ = problem.train("float32", optimizer, **ten_steps())
    engine, objective = problem.engine("float32")
    engine.reset_optimizer(optimizer)
    run = engine.train(objective, problem.samples("float32"), RunOptions(**ten_steps(), seed=5))
    while run.advance(1):
        pass
    assert_same_bits(engine.get_weights(), whole.get_weights())


@pytest.mark.parametrize("make", [Nadam, Adagrad], ids=["nadam", "adagrad"])
def test_saved_models_go_on(make, tmp_path):
    """Limits, decay, and Nadam's product of momenta are in the file."""
    model = Sequential([Dense(5, "tanh", input_shape=(4,)), Dense(1)])
    model.compile(make(ExponentialDecay(0.02, 10, 0.9), clipnorm=0.3, weight_decay=0.1), "mse")
    x = np.random.default_rng(0).normal(size=(40, 4))
    model.fit(x, x[:, 0], epochs=2, batch_size=7, verbose=0)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for each in (model, again):
        each.fit(x, x[:, 0], epochs=2, batch_size=7, shuffle=False, verbose=0)
    assert_same_bits(again.get_weights(), model.get_weights())
