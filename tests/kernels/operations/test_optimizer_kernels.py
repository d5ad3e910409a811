"""Ten steps of every optimizer from the same weights in the same order: the oracle's, and PyTorch's."""

import numpy as np
import pytest
from harness import Problem, assert_close, tolerance

from fastnn.data.samples import Samples
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Dense
from fastnn.optimizers import SGD, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from fastnn.regularizers import L2

OPTIMIZERS = {
    "sgd": SGD(0.05),
    "momentum": SGD(0.02, momentum=0.9),
    "nesterov": SGD(0.02, momentum=0.9, nesterov=True),
    "nesterov-without-momentum": SGD(0.02, nesterov=True),
    "rmsprop": RMSprop(0.003),
    "rmsprop-momentum": RMSprop(0.003, rho=0.8, momentum=0.5, epsilon=1e-5),
    "adam": Adam(0.01),
    "adam-odd": Adam(0.01, beta_1=0.7, beta_2=0.95, epsilon=1e-3),
    "adam-without-memory": Adam(0.01, beta_1=0.0, beta_2=0.0, epsilon=0.1),
    "adamw": AdamW(0.01, weight_decay=0.3),
    "adamax": Adamax(0.01, beta_2=0.9),
    "lion": Lion(0.003, beta_1=0.8),
    "nadam": Nadam(0.01),
    "nadam-odd": Nadam(0.01, beta_1=0.7, beta_2=0.95, epsilon=1e-3),
    "nadam-without-memory": Nadam(0.01, beta_1=0.0, beta_2=0.0, epsilon=0.1),
    "adagrad": Adagrad(0.05),
    "adagrad-from-zero": Adagrad(0.02, initial_accumulator_value=0.0, epsilon=1e-3),
    "sgd-decay": SGD(0.05, weight_decay=0.3),
    "nesterov-decay": SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.3),
    "rmsprop-decay": RMSprop(0.003, weight_decay=0.3),
    "adam-decay": Adam(0.01, weight_decay=0.3),
    "nadam-decay": Nadam(0.01, weight_decay=0.3),
    "adamax-decay": Adamax(0.01, weight_decay=0.3),
    "adagrad-decay": Adagrad(0.05, weight_decay=0.3),
    "lion-decay": Lion(0.003, weight_decay=0.3),
}


def classifier(**options):
    """A network whose widths divide nothing, ten batches of data."""
    layers = [
        Dense(19, "tanh", kernel_regularizer=L2(0.01)),
        Dense(21, "relu"),
        Dense(3, "softmax", kernel_regularizer=L2(0.003)),
    ]
    return Problem(
        layers, 7, "sparse_categorical_crossentropy", rows=50, metrics=["sparse_categorical_accuracy"], **options
    )


def ten_steps(**options):
    return {"batch_size": 5, "epochs": 1, "shuffle": False, **options}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_ten_steps_are_the_oracles(dtype, optimizer):
    problem = classifier(weighted=True)
    engine, _, logs = problem.train(dtype, optimizer, **ten_steps())
    weights, expected = problem.oracle(optimizer, **ten_steps())
    assert engine.step == 10
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-5, 1e-12))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-12))


@pytest.mark.parametrize(
    ("optimizer", "name", "options"),
    [
        (SGD(0.05), "SGD", {"lr": 0.05}),
        (SGD(0.02, momentum=0.9), "SGD", {"lr": 0.02, "momentum": 0.9}),
        (SGD(0.02, momentum=0.9, nesterov=True), "SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
        # PyTorch adds epsilon in other places: the same steps only as epsilon goes to 0
        (RMSprop(0.003, epsilon=1e-30), "RMSprop", {"lr": 0.003, "alpha": 0.9, "eps": 1e-20}),
        (
            RMSprop(0.003, momentum=0.5, epsilon=1e-30),
            "RMSprop",
            {"lr": 0.003, "alpha": 0.9, "eps": 1e-20, "momentum": 0.5},
        ),
        (Adam(0.01, epsilon=1e-20), "Adam", {"lr": 0.01, "eps": 1e-20}),
        (Adamax(0.01, epsilon=1e-20), "Adamax", {"lr": 0.01, "eps": 1e-20}),
        (AdamW(0.01, weight_decay=0.3, epsilon=1e-20), "AdamW", {"lr": 0.01, "eps": 1e-20, "weight_decay": 0.3}),
        (Adam(0.01, weight_decay=0.3, epsilon=1e-20), "AdamW", {"lr": 0.01, "eps": 1e-20, "weight_decay": 0.3}),
        # PyTorch's momenta move more slowly unless they are told to
        (Nadam(0.01, epsilon=1e-6), "NAdam", {"lr": 0.01, "eps": 1e-6, "momentum_decay": 1.0}),
        (
            Nadam(0.01, weight_decay=0.3),
            "NAdam",
            {"lr": 0.01, "eps": 1e-7, "momentum_decay": 1.0, "weight_decay": 0.3, "decoupled_weight_decay": True},
        ),
        (
            Adagrad(0.05, initial_accumulator_value=0.1, epsilon=1e-20),
            "Adagrad",
            {"lr": 0.05, "eps": 1e-20, "initial_accumulator_value": 0.1},
        ),
    ],
    ids=[
        *("sgd", "momentum", "nesterov", "rmsprop", "rmsprop-momentum", "adam", "adamax", "adamw", "adam-decay"),
        *("nadam", "nadam-decay", "adagrad"),
    ],
)
def test_ten_steps_are_pytorchs(dtype, optimizer, name, options):
    torch = pytest.importorskip("torch")
    problem = classifier()
    engine, _, logs = problem.train(dtype, optimizer, **ten_steps())

    parameters = [torch.tensor(w.astype(dtype), requires_grad=True) for w in problem.weights]
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = parameters
    step, total = getattr(torch.optim, name)(parameters, **options), 0.0
    x, classes = torch.tensor(problem.x.astype(dtype)), torch.tensor(problem.y[:, 0]).long()
    for rows in torch.arange(50).split(5):
        hidden = torch.relu(torch.tanh(x[rows] @ kernel_1 + bias_1) @ kernel_2 + bias_2)
        value = torch.nn.functional.cross_entropy(hidden @ kernel_3 + bias_3, classes[rows])
        value = value + 0.01 * (kernel_1**2).sum() + 0.003 * (kernel_3**2).sum()
        step.zero_grad()
        value.backward()
        step.step()
        total += value.item() / 10
    theirs = [parameter.detach().numpy() for parameter in parameters]
    assert_close(engine.get_weights(), theirs, tolerance(dtype, 1e-5, 1e-9))
    assert logs[0, 0] == pytest.approx(total, rel=tolerance(dtype, 1e-5, 1e-9))


def test_penalty_divided_by_the_rows(dtype):
    """scikit-learn's way: every batch adds l2 * sum(w**2) / rows, so equal batches see an l2 divided by their size."""
    divided = [Dense(9, "tanh", kernel_regularizer=L2(0.5)), Dense(2)]
    whole = [Dense(9, "tanh", kernel_regularizer=L2(0.5 / 8)), Dense(2)]
    options = {"batch_size": 8, "shuffle": False}
    ours = Problem(divided, 5, "mean_squared_error", rows=32, l2_per_row=True)
    engine, objective, logs = ours.train(dtype, "sgd", **options)
    weights, expected = Problem(whole, 5, "mean_squared_error", rows=32).oracle("sgd", **options)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-5, 1e-12))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-12))
    x, y, _ = ours.data(dtype)
    loss = np.mean((engine.predict(x).astype(np.float64) - y) ** 2)
    penalty = 0.5 * np.square(engine.get_weights()[0], dtype=np.float64).sum()
    assert engine.evaluate(objective, Samples(x, y))[0] == pytest.approx(loss + penalty / 32, rel=1e-6)


@pytest.mark.parametrize(("outputs", "loss"), [(1, "binary_crossentropy"), (3, "mean_squared_error")])
def test_batches_divided_by_their_weights(dtype, outputs, loss):
    """scikit-learn's way with weights: a batch whose weights are all 0 adds nothing, not even a penalty."""
    problem = Problem(
        [Dense(9, "tanh", kernel_regularizer=L2(0.5)), Dense(outputs, "sigmoid")],
        5, loss, rows=32, metrics=["mean_absolute_error"], weighted=True, l2_per_row=True,
    )  # fmt: skip
    problem.sample_weights[8:16], problem.sample_weights[20] = 0.0, 0.0
    options = {"batch_size": 8, "shuffle": False, "weighted_mean": True, "loss_scale": 1.5}
    engine, _, logs = problem.train(dtype, SGD(0.1), **options)
    weights, expected = problem.oracle(SGD(0.1), **options)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-5, 1e-12))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-12))
    scaled = Problem(problem.layers, 5, loss, rows=32, metrics=problem.metrics, weighted=True, l2_per_row=True)
    scaled.sample_weights = 4.0 * problem.sample_weights  # only the penalty notices
    assert (scaled.oracle(SGD(0.1), **options)[1][:, 0] < expected[:, 0]).all()


def test_a_penalty_spares_the_bias(dtype):
    """With nothing to learn from (weight 0 on every row) only the kernels shrink."""
    problem = Problem([Dense(17, kernel_regularizer=L2(0.5)), Dense(3)], 4, "mean_squared_error", rows=8, weighted=True)
    problem.sample_weights[:] = 0.0
    engine, _, logs = problem.train(dtype, SGD(0.1), batch_size=8, epochs=1)
    kernel, *others = engine.get_weights()
    np.testing.assert_allclose(kernel, 0.9 * problem.weights[0], rtol=1e-6)
    for ours, before in zip(others, problem.weights[1:], strict=True):
        np.testing.assert_array_equal(ours, before)
    assert logs[0, 0] == pytest.approx(0.5 * np.square(problem.weights[0], dtype=np.float64).sum(), rel=1e-6)


def test_learning_rate_may_change_between_calls():
    problem = classifier()
    weights, _ = problem.oracle(SGD(0.05), **ten_steps(batch_size=50))
    problem_again = classifier()
    problem_again.weights = weights
    expected, _ = problem_again.oracle(SGD(0.2), **ten_steps(batch_size=50))

    optimizer = SGD(0.05)
    engine, objective = problem.engine("float64")
    engine.reset_optimizer(optimizer)
    run = engine.train(objective, problem.samples("float64"), RunOptions(**ten_steps(batch_size=50, epochs=2), seed=0))
    run.advance(1)
    optimizer.learning_rate = 0.2
    run.advance(1)
    assert_close(engine.get_weights(), expected, 1e-12)


def test_moments_last_from_run_to_run_until_reset():
    problem = classifier()
    expected, _ = problem.oracle("adam", **ten_steps(epochs=2))
    engine, objective, _ = problem.train("float64", "adam", **ten_steps())
    run = engine.train(objective, problem.samples("float64"), RunOptions(**ten_steps(), seed=0, first_epoch=1))
    while run.done < 10:
        run.advance(10)
    assert engine.step == 20
    assert_close(engine.get_weights(), expected, 1e-12)

    engine.set_weights([w.astype(np.float64) for w in problem.weights])
    engine.reset_optimizer(engine.optimizer)
    assert engine.step == 0
    run = engine.train(objective, problem.samples("float64"), RunOptions(**ten_steps(), seed=0))
    while run.done < 10:
        run.advance(10)
    assert_close(engine.get_weights(), problem.oracle("adam", **ten_steps())[0], 1e-12)
