"""Runs beside other threads and processes, and through interrupts; nothing is left behind in the caller."""

import os
import signal
import threading

import numpy as np
import pytest
from harness import Problem, assert_same_bits, finish_run, folders_of, small_problem, start_run

from fastnn.engine.engine import Engine
from fastnn.layers import Dense
from fastnn.lowering.lower import lower


def subnormals_work():
    smallest, single = np.array([5e-324]), np.array([1e-45], np.float32)
    return float(smallest[0]) * 1.0 > 0.0 and (2.0 * smallest > 0.0).all() and (2.0 * single > 0.0).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_subnormals_are_flushed_inside_only(dtype, threads):
    assert subnormals_work()
    engine = Engine(lower([Dense(1, use_bias=False)], 1, dtype), threads=threads)
    engine.set_weights([np.ones((1, 1), dtype)])
    tiny = np.full((200, 1), np.finfo(dtype).smallest_subnormal * 100)
    assert (engine.predict(tiny) == 0.0).all()
    assert subnormals_work()
    _, run = start_run(small_problem(), dtype, threads=threads)
    finish_run(run)
    assert subnormals_work()


def test_fits_at_once_give_the_serial_results(dtype):
    problems = [small_problem(seed=seed) for seed in range(6)]
    expected = [problem.train(dtype, "adam", epochs=20)[0].params for problem in problems]
    results = [None] * 6

    def fit(number):
        results[number] = problems[number].train(dtype, "adam", 1 + number % 3, epochs=20)[0].params

    threads = [threading.Thread(target=fit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_bits(results, expected)


def test_predictions_at_once_on_one_engine(dtype):
    problem = Problem([Dense(50, "relu"), Dense(7, "softmax")], 20, "categorical_crossentropy", rows=400)
    engine, _ = problem.engine(dtype)
    x = problem.data(dtype)[0]
    expected, results = engine.predict(x), []

    def predict():
        results.extend(engine.predict(x, threads=2) for _ in range(20))

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert_same_bits(results, [expected] * 80)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_trains_on(run_python):
    output = run_python(FORK, PYTHONPATH=os.pathsep.join([*folders_of(__file__), os.environ.get("PYTHONPATH", "")]))
    assert output == "same bits\n"


FORK = """
    import os, sys
    from harness import finish_run, small_problem, start_run
    expected, run = start_run(small_problem(), threads=2)
    finish_run(run)
    child = os.fork()
    engine, run = start_run(small_problem(), threads=2)
    finish_run(run)
    same = (engine.params == expected.params).all()
    if child == 0:
        os._exit(0 if same else 1)
    assert same and os.waitpid(child, 0)[1] == 0
    print("same bits")
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt_after_the_steps(threads):
    """Ctrl-C arrives when the compiled call returns: the steps are done, and counted."""
    expected, run = start_run(small_problem(), threads=threads)
    logs = finish_run(run)
    engine, run = start_run(small_problem(), threads=threads)
    program = run._entry_point

    def interrupted(rank, *arguments):
        program(rank, *arguments)
        if rank == 0:
            raise KeyboardInterrupt

    run._entry_point = interrupted
    with pytest.raises(KeyboardInterrupt):
        run.advance(7)
    assert 1 <= run.done <= 7
    assert run.done == engine.step
    run._entry_point = program
    assert_same_bits(finish_run(run), logs)
    assert_same_bits(engine.params, expected.params)


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_real_interrupts():
    engine, run = start_run(small_problem(), epochs=1_000_000, threads=2)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        timer.start()
        finish_run(run)
    timer.join()
    assert run.done == engine.step > 0
    run.advance(7)
    expected, other = start_run(small_problem(), epochs=1_000_000, threads=1)
    while other.done < run.done:
        other.advance(run.done - other.done)
    assert_same_bits(engine.params, expected.params)


def test_a_member_that_cannot_be_started(monkeypatch):
    problem = Problem([Dense(100, "relu"), Dense(90)], 80, "mean_squared_error", rows=43)  # work for every member
    engine, run = start_run(problem, threads=3)
    monkeypatch.setattr("fastnn.engine.threads._told", set())  # whatever was said before
    monkeypatch.setattr(threading.Thread, "start", failing_for_the_second(threading.Thread.start))
    with pytest.warns(RuntimeWarning, match="threads could be started"):
        run.advance(5)
    assert run.done == engine.step > 0
    monkeypatch.undo()
    assert_same_bits(finish_run(run), finish_run(start_run(problem)[1]))


def failing_for_the_second(begin):
    started = []

    def begin_or_fail(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        begin(thread)

    return begin_or_fail
