"""The same tables as cases of pytest-benchmark, in this process: ``pytest benchmarks -k pima``.

For profiling and for comparing commits. Threads are limited by the environment only, and contenders do not take turns:
to compare libraries use ``fastnn bench``.
"""

import pytest

from benchmarks import data, problems, terms
from benchmarks.contenders import CONTENDERS, choose
from benchmarks.contenders.base import NotOffered
from benchmarks.kinds import Estimator, Fit, Script, Search
from benchmarks.tasks import TASKS

pytest.importorskip("pytest_benchmark")
pytestmark = pytest.mark.filterwarnings("default")

CASES = [
    pytest.param(task, name, id=f"{task.name}-{name}")
    for task in TASKS.values()
    for name in choose(None)
    if not isinstance(task, (Script, Search))
    and (task.threads or 1) <= terms.available_cores()
    and getattr(task, "models", 1) == 1
]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_task(task, name, benchmark):
    contender = CONTENDERS[name]()
    contender.limit(task.threads or terms.available_cores())
    problem = problems.make(task, data.missing([getattr(task, "data", "")]))
    benchmark.group = task.name
    try:
        work = contender.prepare(problem, 0)
    except NotOffered:
        pytest.skip(f"{name} does not do this")
    work.run()
    quality, start = problem.judge(work.result()), {}
    if isinstance(task, (Estimator, Fit)):
        start = problem.judge(problem.weights) if isinstance(task, Fit) else {}
        benchmark.pedantic(
            lambda fit: fit.run(), setup=lambda: ((contender.prepare(problem, 0),), {}), rounds=3, iterations=1
        )
    else:
        benchmark(work.run)
    benchmark.extra_info.update(quality)
    assert not terms.refusals(task, start, {name: quality})
