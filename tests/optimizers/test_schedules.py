"""Learning-rate schedules: Keras' formulas by hand, PyTorch's one-cycle, and a rate for every step."""

import numpy as np
import pytest
from fastnn.kernels import reference
from harness import Problem, assert_close, finish_run

from fastnn import Dense, Sequential
from fastnn.common import identifiers
from fastnn.engine.run_options import RunOptions
from fastnn.models import load_model
from fastnn.optimizers import SGD, Adam, schedules
from fastnn.optimizers.schedules import CosineDecay

SCHEDULES = [
    schedules.ExponentialDecay(0.1, 7, 0.5),
    schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True),
    schedules.InverseTimeDecay(0.1, 7, 0.5),
    schedules.PiecewiseConstantDecay([4, 11], [0.1, 0.05, 0.01]),
    schedules.PolynomialDecay(0.1, 9, 0.01, 2.0, cycle=True),
    schedules.CosineDecay(0.01, 12, 0.1, warmup_target=0.1, warmup_steps=5),
    schedules.CosineDecayRestarts(0.1, 4, 2.0, 0.8, 0.1),
    schedules.CosineDecayRestarts(0.1, 4, 1.0, 0.8, 0.1),
    schedules.OneCycle(0.1, 15),
]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (SCHEDULES[0], {0: 0.1, 7: 0.05, 3.5: 0.1 * 0.5**0.5}),
        (SCHEDULES[1], {0: 0.1, 6: 0.1, 7: 0.05, 13: 0.05, 14: 0.025}),
        (SCHEDULES[2], {0: 0.1, 7: 0.1 / 1.5, 14: 0.05}),
        (SCHEDULES[3], {0: 0.1, 4: 0.1, 5: 0.05, 11: 0.05, 12: 0.01}),
        (SCHEDULES[4], {0: 0.1, 3: 0.09 * (2 / 3) ** 2 + 0.01, 9: 0.01, 12: 0.09 * (1 / 3) ** 2 + 0.01, 18: 0.01}),
        (schedules.PolynomialDecay(0.1, 9, 0.01), {0: 0.1, 3: 0.07, 9: 0.01, 30: 0.01}),
        (SCHEDULES[5], {0: 0.01, 1: 0.028, 5: 0.1, 11: 0.055, 17: 0.01, 99: 0.01}),
        (schedules.CosineDecay(0.1, 10), {0: 0.1, 5: 0.05, 10: 0.0}),
        (SCHEDULES[6], {0: 0.1, 2: 0.055, 4: 0.1 * (0.9 * 0.8 + 0.1), 8: 0.1 * (0.9 * 0.4 + 0.1)}),
        (SCHEDULES[7], {0: 0.1, 2: 0.055, 6: 0.1 * (0.9 * 0.4 + 0.1)}),
    ],
)
def test_rates_by_hand(schedule, rates):
    np.testing.assert_allclose(schedule(np.array(list(rates))), list(rates.values()), rtol=1e-12, atol=1e-17)
    for step, rate in rates.items():
        assert schedule(step) == pytest.approx(rate, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_is_pytorchs(strategy):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        0.2,
        total_steps=40,
        pct_start=0.25,
        anneal_strategy=strategy,
        div_factor=10.0,
        final_div_factor=100.0,
    )
    expected = []
    for _ in range(40):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        if len(expected) < 40:
            theirs.step()
    ours = schedules.OneCycle(0.2, 40, 0.25, strategy, 10.0, 100.0)
    np.testing.assert_allclose(ours(np.arange(40)), expected, rtol=1e-12)
    assert ours(1000) == pytest.approx(expected[-1])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_every_step_has_its_rate(schedule, threads):
    """Two epochs of eight steps in as few calls as the run likes, beside the oracle with a rate for each step."""
    problem = Problem([Dense(9, "tanh"), Dense(1)], 6, "mean_squared_error", rows=39)
    options = {"batch_size": 5, "shuffle": False}
    weights, state = [w.astype(np.float64) for w in problem.weights], {}
    x, y, _ = problem.data("float64")
    for step in range(16):
        rows = slice(step % 8 * 5, step % 8 * 5 + 5)
        one_step = (float(schedule(step)), *Adam().hyperparameters()[1:])
        weights, _ = reference.train(
            problem._described(), weights, "mean_squared_error", "adam", one_step, x[rows], y[rows], batch_size=5,
            shuffle=False, state=state,
        )  # fmt: skip
    engine, _, _ = problem.train("float64", Adam(schedule), threads, **options)
    assert_close(engine.get_weights(), weights, 1e-12)


def test_more_steps_than_fit_a_call(monkeypatch):
    from fastnn.engine import hyperparameters

    problem = Problem([Dense(1)], 3, "mean_squared_error", rows=40)
    schedule = schedules.ExponentialDecay(0.1, 20, 0.5)
    whole, _, _ = problem.train("float64", SGD(schedule), batch_size=4)
    monkeypatch.setattr(hyperparameters, "SCHEDULED_STEPS", 3)
    engine, objective = problem.engine("float64")
    engine.reset_optimizer(SGD(schedule))
    run = engine.train(objective, problem.samples("float64"), RunOptions(batch_size=4, epochs=2, shuffle=True, seed=5))
    assert run.advance(10) == 3
    finish_run(run)
    assert_close(engine.get_weights(), whole.get_weights(), 0.0)


def test_a_scheduled_rate_cannot_be_set():
    optimizer = Adam(CosineDecay(0.1, 10))
    assert optimizer.learning_rate == 0.1
    with pytest.raises(TypeError, match="set by the schedule CosineDecay"):
        optimizer.learning_rate = 0.5


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_configurations(schedule):
    again = schedules.get(identifiers.serialize(schedule))
    assert type(again) is type(schedule)
    np.testing.assert_array_equal(again(np.arange(30)), schedule(np.arange(30)))


def test_saved_models_keep_their_schedule(tmp_path):
    model = Sequential([Dense(1, input_shape=(3,))])
    model.compile(Adam(schedules.PiecewiseConstantDecay([2], [0.1, 0.01])), "mse")
    x = np.random.default_rng(0).normal(size=(12, 3))
    model.fit(x, x[:, 0], batch_size=3, epochs=1, verbose=0)
    model.save(tmp_path / "model.fastnn")
    again = load_model(tmp_path / "model.fastnn")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for each in (model, again):
        each.fit(x, x[:, 0], batch_size=3, epochs=1, verbose=0, shuffle=False)
    assert_close(again.get_weights(), model.get_weights(), 0.0)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="boundaries must increase, and values have one more"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="anneal_strategy must be"):
        schedules.OneCycle(0.1, 10, anneal_strategy="sine")
    with pytest.raises(ValueError, match="unknown learning-rate schedule 'CosinDecay'. Did you mean 'cosinedecay'"):
        schedules.get({"class_name": "CosinDecay", "config": {}})
