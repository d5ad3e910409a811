"""Engine and runs: slices, logs, orders, odd sizes, weights, errors."""

import time

import numpy as np
import pytest
from harness import Problem, assert_close, assert_same_bits, finish_run, small_problem, start_run, tolerance

from fastnn import optimizers
from fastnn.data.samples import Samples
from fastnn.engine import cores, devices, factory
from fastnn.engine import threads as team_sizes
from fastnn.engine.engine import Engine
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Activation, Dense
from fastnn.lowering.lower import lower


@pytest.fixture
def threads_setting(monkeypatch):
    """Leave the number of threads as it was."""
    for name in ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    team_sizes.set_num_threads(None)


# --- runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slices", [[1] * 15, [4, 4, 4, 3], [15], [7, 8], [5, 5, 5], [14, 1]], ids=str)
def test_slices_do_not_matter(dtype, slices):
    engine, run = start_run(small_problem(), dtype)
    expected = finish_run(run)
    again, run = start_run(small_problem(), dtype)
    assert run.done == 0
    assert run.steps_per_epoch == 5
    for steps in slices:
        left = steps
        while left:
            done = run.advance(left)
            assert 1 <= done <= left
            left -= done
    assert run.done == again.step == 15
    assert_same_bits(again.params, engine.params)
    assert_same_bits([run.logs(epoch) for epoch in range(3)], expected)
    assert run.advance(1) == 0
    assert_same_bits(again.params, engine.params)


@pytest.mark.parametrize("steps", [0, -1])
def test_no_steps(steps):
    engine, run = start_run(small_problem())
    before = engine.params.copy()
    assert run.advance(steps) == 0
    assert run.done == 0
    assert_same_bits(engine.params, before)


def test_nothing_happens_before_the_first_step():
    engine, run = start_run(small_problem())
    assert_same_bits(engine.get_weights(), small_problem().weights)
    assert run.logs(0).tolist() == [0.0, 0.0]


def test_a_call_is_cut_to_a_tenth_of_a_second():
    _, run = start_run(small_problem(), batch_size=1, epochs=100_000)
    begun = time.perf_counter()
    done = sum(run.advance(10**9) for _ in range(3))
    assert done < 43 * 100_000
    assert time.perf_counter() - begun < 3.0
    assert done > 1000


def test_logs_in_the_middle_of_an_epoch(dtype):
    problem = small_problem()
    _, run = start_run(problem, dtype, "sgd", shuffle=False)
    for steps, rows in ((1, 10), (2, 30), (2, 43)):
        run.advance(steps)
        part = small_problem()
        part.x, part.y = part.x[:rows], part.y[:rows]
        _, expected = part.oracle("sgd", epochs=1, shuffle=False)
        np.testing.assert_allclose(run.logs(0), expected[0], rtol=tolerance(dtype, 1e-5, 1e-12))
    assert run.logs(1).tolist() == [0.0, 0.0]


def test_order_given_from_outside(dtype):
    """The order may change between epochs; it is that of the rows, of their targets and of their weights."""
    problem = small_problem(weighted=True)
    orders = [np.random.default_rng(epoch).permutation(43) for epoch in range(3)]
    given = orders[0].copy()
    engine, run = start_run(problem, dtype, "sgd", shuffle=False, order=given)
    assert run.order is given
    for order in orders:
        given[:] = order
        left = 5
        while left:
            left -= run.advance(left)
    weights, state = problem.weights, {}
    for order in orders:
        turn = small_problem(weighted=True)
        turn.weights = weights
        turn.x, turn.y, turn.sample_weights = problem.x[order], problem.y[order], problem.sample_weights[order]
        weights, _ = turn.oracle("sgd", epochs=1, shuffle=False, state=state)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-5, 1e-12))


@pytest.mark.parametrize("number", [43, -1, 2**62, -(2**62)])
def test_an_order_that_becomes_wrong(dtype, number):
    """Programs follow it wherever it leads, so they have a copy, which is looked at when an epoch begins."""
    problem = small_problem(weighted=True)
    results = []
    for late in (False, True):
        given = np.arange(43)[::-1].copy()
        engine, run = start_run(problem, dtype, "sgd", shuffle=False, order=given)
        run.advance(1)
        given[7] = number if late else given[7]
        while run.done < run.steps_per_epoch:
            run.advance(run.steps_per_epoch - run.done)
        results.append([engine.params.copy(), run.logs(0)])
    assert_same_bits(*results)
    with pytest.raises(ValueError, match=r"^order must hold numbers of rows, from 0 to 42; got .* to "):
        run.advance(1)
    assert run.done == run.steps_per_epoch
    given[7] = 0
    assert run.advance(1) == 1


@pytest.mark.parametrize("batch_size", [43, 44, 1000])
def test_batch_as_large_as_the_data_or_larger(dtype, batch_size):
    problem = small_problem()
    engine, run = start_run(problem, dtype, "sgd", batch_size=batch_size)
    assert run.steps_per_epoch == 1
    logs = finish_run(run)
    weights, expected = problem.oracle("sgd", batch_size=batch_size, epochs=3)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-5, 1e-12))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-12))


def test_one_row_of_data(dtype):
    problem = Problem([Dense(1)], 1, "mean_squared_error", rows=1)
    engine, _, logs = problem.train(dtype, "sgd", batch_size=32)
    weights, expected = problem.oracle("sgd", batch_size=32)
    assert_close(engine.get_weights(), weights, tolerance(dtype, 1e-6, 1e-14))
    np.testing.assert_allclose(logs, expected, rtol=tolerance(dtype, 1e-5, 1e-13))


def test_training_data_may_be_read_only_and_are_not_written(dtype):
    problem = small_problem(weighted=True)
    plain, run = start_run(problem, dtype)
    expected = finish_run(run)
    engine, objective = problem.engine(dtype)
    engine.reset_optimizer(optimizers.get("adam"))
    arrays = problem.data(dtype)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    run = engine.train(objective, Samples(*arrays), RunOptions(batch_size=10, epochs=3, shuffle=True, seed=5))
    assert_same_bits(finish_run(run), expected)
    assert_same_bits(engine.params, plain.params)
    assert_same_bits(engine.predict(arrays[0]), plain.predict(copies[0]))
    assert_same_bits(engine.evaluate(objective, Samples(*arrays)), plain.evaluate(objective, Samples(*copies)))
    assert_same_bits(list(arrays), copies)
    assert not any(array.flags.writeable for array in arrays)
    assert len(run._program.signatures) == 1, "read-only arrays were compiled for"


def test_a_run_keeps_its_data_alive(dtype):
    problem = small_problem()
    expected = finish_run(start_run(problem, dtype)[1])
    run = start_run(problem, dtype)[1]  # the arrays of problem.data() are referred to by the run alone
    rubbish = [np.full((43, 6), np.nan, dtype) for _ in range(50)]
    assert_same_bits(finish_run(run), expected)
    assert len(rubbish) == 50


# --- predictions and weights --------------------------------------------------------------------------------------


def test_no_rows_and_one_row(dtype):
    problem = small_problem()
    engine, _ = problem.engine(dtype)
    x = problem.data(dtype)[0]
    nothing = engine.predict(x[:0])
    assert nothing.shape == (0, 3)
    assert nothing.dtype == dtype
    assert_same_bits(engine.predict(x[:1]), engine.predict(x)[:1])


def test_weights_go_in_and_come_out(dtype):
    problem = Problem([Dense(17, use_bias=False), Activation("relu"), Dense(1), Dense(33)], 5, "mse")
    engine, _ = problem.engine(dtype)
    weights = engine.get_weights()
    assert [w.shape for w in weights] == [(5, 17), (17, 1), (1,), (1, 33), (33,)] == engine.plan.weight_shapes
    assert_same_bits(weights, [w.astype(dtype) for w in problem.weights])
    for weight in weights:
        weight[:] = np.nan  # copies: the engine does not notice
    assert_same_bits(engine.get_weights(), [w.astype(dtype) for w in problem.weights])


def test_threads_left_to_the_engine_give_the_same_bits(dtype):
    """Large enough that a team is started where there is more than one core."""
    problem = Problem([Dense(400, "relu"), Dense(10, "softmax")], 300, "sparse_categorical_crossentropy", rows=1000)
    expected, _, logs = problem.train(dtype, "adam", 1, batch_size=300)
    engine, _, logs_of_team = problem.train(dtype, "adam", None, batch_size=300)
    assert_same_bits(engine.params, expected.params)
    assert_same_bits(logs_of_team, logs)
    x = problem.data(dtype)[0]
    assert_same_bits(engine.predict(x), expected.predict(x))


# --- errors -------------------------------------------------------------------------------------------------------


def test_unknown_device():
    for make in (lambda: factory.make_engine(lower([Dense(1)], 1), "gpu"), lambda: devices.set_device("gpu")):
        with pytest.raises(ValueError, match="device must be one of 'cpu', 'cuda', 'auto' or None; got 'gpu'"):
            make()


@pytest.mark.parametrize("threads", [0, -1, 2.0, 1.5, float("inf"), "many", True, [2]])
def test_numbers_of_threads_that_are_none(threads, threads_setting):
    with pytest.raises(ValueError, match="threads must be a positive whole number of threads; got"):
        Engine(lower([Dense(1)], 1), threads=threads)
    with pytest.raises(ValueError, match="threads must be a positive whole number of threads; got"):
        team_sizes.set_num_threads(threads)


def test_most_threads(threads_setting):
    assert team_sizes.get_num_threads() == cores.available_cores() >= 1
    threads_setting.setenv("FASTNN_NUM_THREADS", "3")
    assert team_sizes.get_num_threads() == 3
    team_sizes.set_num_threads(np.int64(5))
    assert team_sizes.get_num_threads() == 5
    team_sizes.set_num_threads(None)
    assert team_sizes.get_num_threads() == 3
    threads_setting.setenv("FASTNN_NUM_THREADS", "")
    assert team_sizes.get_num_threads() == cores.available_cores()


@pytest.mark.parametrize("value", ["0", "-2", "two", "1.5"])
def test_environment_that_names_no_number_of_threads(value, threads_setting):
    threads_setting.setenv("FASTNN_NUM_THREADS", value)
    with pytest.raises(
        ValueError, match=f"FASTNN_NUM_THREADS must be a positive whole number of threads; got '{value}'"
    ):
        team_sizes.get_num_threads()


@pytest.mark.parametrize("layers", [[Dense(3, "step"), Dense(1)], [Dense(3), Dense(1), Activation("step")]])
def test_no_training_through_a_step(layers):
    problem = Problem(layers, 4, "mean_squared_error")
    engine, objective = problem.engine()
    engine.reset_optimizer(optimizers.get("sgd"))
    with pytest.raises(ValueError, match="activation 'step' has no useful derivative"):
        engine.train(objective, problem.samples("float32"), RunOptions(batch_size=4, epochs=1, shuffle=False, seed=0))
    with pytest.raises(ValueError, match="fastnn.Perceptron"):
        engine.gradient(objective, problem.samples("float32"))
    assert_close(engine.predict(problem.x), problem.outputs(), 1e-6)
