"""A loss and a metric are added in the files that CONTRIBUTING.md lists, and nowhere else."""

import re
from pathlib import Path

import pytest
from fastnn.kernels import codes
from fastnn.kernels.operations.loss_rows import LOSS_ELEMENTS
from fastnn.kernels.operations.losses import OF_LOGITS, OF_OUTPUTS
from fastnn.kernels.operations.metrics import METRICS
from fastnn.kernels.reference import losses as oracle

TESTS = Path(__file__).parents[1]
PROGRAM = """
import runpy, sys
sys.path.insert(0, {folder!r})
sys.argv = ["made_up_losses.py", {device!r}]
runpy.run_path({path!r}, run_name="__main__")
"""


def train(run_python, cache, device, **environment):
    path = Path(__file__).with_name("made_up_losses.py")
    code = PROGRAM.format(folder=str(TESTS), device=device, path=str(path))
    printed = run_python(code, timeout=600, FASTNN_CACHE_DIR=cache, FASTNN_QUIET=1, **environment)
    assert printed.endswith("as they should be\n")


def test_a_made_up_loss_and_metrics(run_python, tmp_path):
    train(run_python, tmp_path, "cpu")


def test_a_made_up_loss_and_metrics_on_a_simulated_gpu(run_python, tmp_path):
    pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")
    train(run_python, tmp_path, "cuda", NUMBA_ENABLE_CUDASIM=1)


@pytest.mark.parametrize(("what", "most"), [("loss", 4), ("metric", 3)])
def test_the_list_names_few_files(checkout, what, most):
    text = (checkout / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## Adding a {what}\n")[2].partition("\n## ")[0]
    steps = [line for line in section.splitlines() if re.match(r"\d+\. ", line)]
    files = [re.match(r"\d+\. `([^`]+)`", line)[1] for line in steps]
    assert 2 <= len(files) <= most
    assert all((checkout / file).exists() for file in files)


def test_every_table_has_every_loss_and_metric():
    assert sorted([*LOSS_ELEMENTS, *OF_OUTPUTS, *OF_LOGITS]) == list(range(len(codes.LOSSES)))
    names = {name + "_from_logits" * on for name, loss in oracle.LOSSES.items() for on in (False, bool(loss.of_logits))}
    assert names == {name.removeprefix("sparse_") for name in codes.LOSSES}
    assert set(oracle.METRICS) == set(METRICS)
