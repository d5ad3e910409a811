"""What CONTRIBUTING.md says of adding things is true: one is made up, by the lines that go into the files it names.

Each test is a process of its own, with an empty cache: the lines are run in the modules of these files before anything
else reads them, and nothing else is touched.
"""

import textwrap
from pathlib import Path

import harness
import pytest

ACTIVATION = {
    "fastnn.kernels.formulas.activations": '''
        from .elementary import sqrt

        def bent(x, alpha):
            """A line bent at 0."""
            return alpha * x + sqrt(x * x + 1.0)

        def bent_grad(z, alpha):
            """Differentiate bent, from its pre-activation."""
            return alpha + z / sqrt(z * z + 1.0)

        ACTIVATIONS["bent"] = Activation(bent, bent_grad, of_input=True, parametric=True)
        ''',
    "fastnn.kernels.reference.activations": """
        _ACTIVATIONS["bent"] = lambda z, alpha: alpha * z + np.hypot(z, 1.0)
        _DERIVATIVES["bent"] = lambda z, alpha: alpha + z / np.hypot(z, 1.0)
        """,
    "fastnn.activations": """
        bent = Activation("bent", 0.25)
        _BY_NAME["bent"], _TABLE["bent"] = bent, _maker(bent)
        """,
}
OPTIMIZER = {
    "fastnn.kernels.formulas.update_rules": '''
        def signs(w, m, g, rate, share, decay):
            """Step along the sign of the moment, smoothed."""
            m = first_moment(m, g, share)
            return decayed(w, decay) - rate * m / sqrt(m * m + 0.01), m

        OPTIMIZERS["signs"] = Rule(signs, 1, ("rate", "one_minus_beta_1", "decay"), constants=adamax_constants)
        ''',
    "fastnn.kernels.reference.optimizers": """
        def _signs(w, m, v, g, h, state):
            m[:] = h["beta_1"] * m + (1.0 - h["beta_1"]) * g
            w -= h["learning_rate"] / (1.0 - h["beta_1"] ** state["step"]) * m / np.sqrt(m * m + 0.01)

        _STEPS["signs"] = _signs
        """,
    "fastnn.optimizers.methods": """
        class Signs(Adam):
            name = "signs"
        """,
    "fastnn.optimizers": """
        from fastnn.optimizers.methods import Signs
        _TABLE["signs"] = Signs
        """,
}
NETWORK = """
    import numpy as np
    from fastnn.layers import Activation, Dense, Dropout
    from harness import Problem, assert_close

    def layers_of(name):
        return [Dense(5, name), Dropout(0.2), Activation(name), Dense(4, name, use_bias=False), Dense(2)]

    def check(layers, optimizer, dtype, relative, **options):
        problem = Problem(layers, 3, "mean_squared_error", rows=23, **options)
        assert_close(problem.engine(dtype)[0].predict(problem.data(dtype)[0]), problem.outputs(), relative)
        engine, _, logs = problem.train(dtype, optimizer)
        weights, expected = problem.oracle(optimizer)
        assert_close(engine.get_weights(), weights, relative)
        np.testing.assert_allclose(logs, expected, rtol=relative)
    """


@pytest.fixture
def run_with(run_python, fresh_cache):
    """A function that runs code in a new process in which lines were added to modules."""

    def run_with(added, *code, **environment):
        lines = ["import importlib, sys", f"sys.path.insert(0, {str(Path(harness.__file__).parent)!r})"]
        for name, text in added.items():
            lines.append(f"exec({textwrap.dedent(text)!r}, vars(importlib.import_module({name!r})))")
        return run_python("\n".join([*lines, *map(textwrap.dedent, code)]), **environment)

    return run_with


@pytest.mark.slow
def test_an_activation(run_with):
    """It computes what the oracle does, which central differences check, and so does a program for one network."""
    run_with(
        ACTIVATION, NETWORK,
        """
        import fastnn
        from fastnn import activations
        from fastnn.kernels import reference

        slope = (activations.bent(0.7 + 1e-5) - activations.bent(0.7 - 1e-5)) / 2e-5
        np.testing.assert_allclose(reference.activation_gradient("bent", [0.7], 0.25, [1.0]), [slope], rtol=1e-9)
        assert activations.serialize(activations.get("bent")) == "bent"
        assert activations.get({"class_name": "bent", "config": {"alpha": 0.5}}).get_config() == {"alpha": 0.5}
        check(layers_of("bent"), "adam", "float32", 1e-5)

        x, weights = np.random.default_rng(0).normal(size=(50, 3)), []
        for jit_compile in (False, True):
            fastnn.utils.set_random_seed(1)
            model = fastnn.Sequential([Dense(5, "bent"), Dense(1)])
            model.compile("adam", "mse", jit_compile=jit_compile)
            model.fit(x, x[:, :1] ** 2, epochs=3, verbose=0)
            weights.append(b"".join(each.tobytes() for each in model.get_weights()))
        assert weights[0] == weights[1]
        """,
    )  # fmt: skip


@pytest.mark.slow
def test_an_optimizer(run_with):
    run_with(OPTIMIZER, NETWORK, 'check(layers_of("tanh"), "signs", "float32", 1e-5)')


ADDED = {
    "activation": (ACTIVATION, 'layers_of("bent"), "adam"'),
    "optimizer": (OPTIMIZER, 'layers_of("tanh"), "signs"'),
}


@pytest.mark.parametrize("name", ADDED)
def test_on_a_gpu(run_with, name):
    """Small networks in a block of threads, and large ones by a launch for each product, in the simulator."""
    pytest.importorskip("numba_cuda", reason="needs the extra fastnn-core[cuda]")
    added, given = ADDED[name]
    run_with(
        added, NETWORK,
        f"""
        from fastnn.engine.cuda import inference_launches, run

        check({given}, "float64", 1e-11, device="cuda")
        run.FLOPS_WORTH_LAUNCHES = inference_launches.FLOPS_OF_ROW = inference_launches.FLOPS_OF_ALL = 0.0
        check({given}, "float64", 1e-11, device="cuda")
        """,
        NUMBA_ENABLE_CUDASIM="1",
    )  # fmt: skip
