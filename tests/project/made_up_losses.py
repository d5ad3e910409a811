"""A loss and metrics that fastnn does not have, added to its tables as CONTRIBUTING.md says, and trained with.

A program: ``python made_up_losses.py cpu``, or ``cuda``, in a process whose cache of compiled programs is its own.
"""

import contextlib
import sys
import tempfile

import numpy as np
from fastnn.kernels import codes
from fastnn.kernels.formulas import losses as formulas
from fastnn.kernels.formulas.elementary import select
from fastnn.kernels.operations import metrics as kernels_of_metrics
from fastnn.kernels.reference import losses as oracle

from fastnn import losses, metrics
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.metrics.base import Sums

OPERATIONS = "fastnn.kernels.operations."
assert not {f"{OPERATIONS}{name}" for name in ("losses", "loss_rows")} & set(sys.modules)  # they read the tables


def kernel(function):
    """Let a function pass for one of fastnn.kernels, whose compilers look at where it stands."""
    function.__module__ = "fastnn.kernels.made_up"
    sys.modules[function.__module__] = sys.modules[__name__]
    return function


# --- a loss: its code, its formulas with a place in the table, the oracle's, its declaration --------------------------

codes.LOSSES += ("lopsided_error",)


@kernel
def lopsided_error(y, target, factor):
    """Squared difference, ``factor`` times that where the output is too large."""
    difference = y - target
    return select(difference > 0.0, factor, 1.0) * difference * difference


@kernel
def lopsided_error_grad(y, target, factor):
    """Differentiate lopsided_error with respect to y."""
    difference = y - target
    return select(difference > 0.0, factor, 1.0) * 2.0 * difference


formulas.ELEMENTS["lopsided_error"] = formulas.Element(
    formulas.on_shaped_outputs(lopsided_error, lopsided_error_grad), ("SHAPE",)
)


def _lopsided(t, y, factor=2.0):
    weight = np.where(y > t, factor, 1.0)
    return weight * (y - t) ** 2, lambda: 2.0 * weight * (y - t)


oracle.LOSSES["lopsided_error"] = oracle.Loss(_lopsided)


class LopsidedError(Loss):
    """Squared difference, `factor` times that where the output is too large."""

    __module__ = "fastnn.losses.made_up"
    name = "lopsided_error"

    def __init__(self, factor=2.0):
        self.factor = factor

    def factors(self, n_outputs):
        row = super().factors(n_outputs)
        row[codes.SHAPE] = self.factor
        return row

    def get_config(self):
        return {"factor": self.factor}


losses._TABLE["lopsided_error"] = LopsidedError


# --- metrics: their kernels with a place in the table, the oracle's, their declarations -------------------------------


@kernel
def target_moments(y, t, columns, factors, width, stats):
    """Target and its square."""
    stats[0], stats[1] = t[0], t[0] * t[0]


@kernel
def shares_above(y, t, columns, factors, width, stats):
    """Whether the output is above each threshold, for a target 1, then for a target 0."""
    thresholds = width // 2
    for i in range(thresholds):
        above = 1.0 if y[0] >= i / thresholds else 0.0
        stats[i] = above * t[0]
        stats[thresholds + i] = above * (1.0 - t[0])


kernels_of_metrics.METRICS |= {"target_moments": target_moments, "shares_above": shares_above}
oracle.METRICS["target_moments"] = lambda t, y: np.hstack([t, t * t])


def _shares_above(t, y, thresholds):
    above = y >= np.arange(thresholds) / thresholds
    return np.hstack([above * t, above * (1.0 - t)])


oracle.METRICS["shares_above"] = _shares_above


class R2(Metric):
    """Share of the variance of the targets that is explained: of three columns by two kernels."""

    __module__ = "fastnn.metrics.made_up"
    direction = "max"

    def __init__(self, name="r2", dtype=None):
        super().__init__(name, dtype)

    def sums(self, n_outputs, sparse):
        factors = self.factors(n_outputs)
        return Sums("target_moments", factors, {}, width=2), Sums("mean_squared_error", factors, {})

    def result(self, means):
        mean, square, error = means
        return float(1.0 - error / (square - mean**2))


class AUC(Metric):
    """Area under the curve of true over false positives: of hundreds of columns by one kernel."""

    __module__ = "fastnn.metrics.made_up"
    direction = "max"

    def __init__(self, name="auc", dtype=None, thresholds=200):
        super().__init__(name, dtype)
        self.thresholds = thresholds

    def sums(self, n_outputs, sparse):
        parameters = {"thresholds": self.thresholds}
        return (Sums("shares_above", self.factors(n_outputs), parameters, width=2 * self.thresholds),)

    def result(self, means):
        true, false = np.split(means, 2)
        true, false = (np.append(shares / shares[0], 0.0) for shares in (true, false))
        return float(np.sum((true[1:] + true[:-1]) * (false[:-1] - false[1:])) / 2.0)

    def get_config(self):
        return {"name": self.name, "thresholds": self.thresholds}


metrics._TABLE |= {"r2": R2, "auc": AUC}


# --- trainings with them ----------------------------------------------------------------------------------------------


def check_trainings(device):
    """By the oracle: with one output, whose rows stand side by side, and several; weighted, with other metrics."""
    from harness import Problem, assert_close

    from fastnn.layers import Dense

    for outputs in (1, 3):
        for dtype in ("float32", "float64"):
            layers = [Dense(4, "tanh"), Dense(outputs)]
            problem = Problem(layers, 3, LopsidedError(3.0), 11, ["binary_accuracy"], weighted=True, device=device)
            options = {"batch_size": 4, "epochs": 2}
            engine, _, logs = problem.train(dtype, "adam", **options)
            weights, expected = problem.oracle("adam", **options)
            close = 2e-4 if dtype == "float32" else 1e-11
            assert_close(engine.get_weights(), weights, close)
            assert_close(list(logs[:, :1]), list(expected[:, :1]), close)
    target, output, step = np.array([[1.0, -0.5]]), np.array([[0.3, 0.9]]), 1e-6
    for j in range(2):
        shift = step * np.eye(2)[j]
        above, below = (oracle.loss("lopsided_error", target, output + sign * shift, factor=3.0) for sign in (1, -1))
        gradient = oracle.loss_gradient("lopsided_error", target, output, factor=3.0)[0, j]
        np.testing.assert_allclose(gradient, (above - below)[0] / (2.0 * step), rtol=1e-6)


def model_of(device, rate=1e-30, **options):
    """A compiled model, which by default does not learn, so that its metrics can be told from its predictions."""
    from fastnn import optimizers
    from fastnn.layers import Dense
    from fastnn.models import Sequential

    model = Sequential([Dense(3, "tanh", input_dim=2), Dense(1, "sigmoid")], device=device, threads=1)
    model.set_weights([np.ones((2, 3)) * [[1.0], [-0.5]], np.zeros(3), np.ones((3, 1)) * 0.4, np.zeros(1)])
    reported = [R2(), "mse", "auc", AUC("coarse", thresholds=4), "accuracy"]
    model.compile(optimizers.SGD(rate), LopsidedError(1.5), metrics=reported, **options)
    return model


def expected_of(model, x, y):
    """Values of loss and metrics of predictions, by formulas of their own."""
    p = np.asarray(model.predict(x, verbose=0), np.float64)[:, 0]

    def area(cuts):
        hits, alarms = (np.array([*((p[y == label] >= cut).mean() for cut in cuts), 0.0]) for label in (1.0, 0.0))
        return np.sum((hits[1:] + hits[:-1]) * (alarms[:-1] - alarms[1:])) / 2.0

    return {
        "loss": np.mean(np.where(p > y, 1.5, 1.0) * (p - y) ** 2),
        "r2": 1.0 - np.sum((p - y) ** 2) / np.sum((y - y.mean()) ** 2),
        "mse": np.mean((p - y) ** 2),
        "auc": area(np.arange(200) / 200),
        "coarse": area(np.arange(4) / 4),
        "accuracy": np.mean((p > 0.5) == y),
    }


def check_metrics(device):
    """In evaluations, logs and history, on arrays, and in the midst of an epoch that goes on elsewhere."""
    from fastnn.callbacks import BackupAndRestore, Callback
    from fastnn.models import load_model

    rng = np.random.default_rng(3)
    x = rng.normal(size=(26, 2))
    y = (x[:, 0] + rng.normal(size=26) > 0).astype(float)
    seen = []

    class Look(Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(dict(logs))

        def on_test_batch_end(self, batch, logs):
            seen.append(dict(logs))

    def close(found, expected):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)

    model = model_of(device)
    everything, held_out = expected_of(model, x, y), expected_of(model, x[:13], y[:13])
    close(model.evaluate(x, y, verbose=0, return_dict=True), everything)
    values = dict(zip(model.metrics_names, model.evaluate(x, y, verbose=0), strict=True))
    close(values, everything)
    close(model.evaluate(x, y, batch_size=5, verbose=0, return_dict=True, callbacks=[Look()]), everything)
    close(seen[-1], everything)
    close(model.train_on_batch(x, y, return_dict=True), everything)
    p = model.predict(x, verbose=0)
    for metric in model.metrics[:1] + model.metrics[2:4]:
        np.testing.assert_allclose(metric(y, p), everything[metric.name], rtol=1e-4)

    fit = {"epochs": 2, "batch_size": 10, "verbose": 0, "validation_data": (x[:13], y[:13])}
    for jit_compile in (False, True) if device == "cpu" else ("auto",):
        model, expected = model_of(device, jit_compile=jit_compile), everything
        history = model.fit(x, y, **fit).history
        expected = expected | {f"val_{name}": value for name, value in held_out.items()}
        for epoch in range(2):
            close({name: values[epoch] for name, values in history.items()}, expected)
    seen.clear()
    model.fit(x, y, shuffle=False, callbacks=[Look()], **{**fit, "validation_data": None})
    for step, rows in enumerate((10, 20, 26) * 2):
        close(seen[step], expected_of(model, x[:rows], y[:rows]))

    class Stop(Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(batch)
            if len(seen) == 5:
                raise KeyboardInterrupt

    whole = model_of(device, rate=0.5)
    history = whole.fit(x, y, shuffle=False, **fit).history
    with tempfile.TemporaryDirectory() as folder:
        seen.clear()
        with contextlib.suppress(KeyboardInterrupt):
            model_of(device, rate=0.5).fit(
                x, y, shuffle=False, callbacks=[BackupAndRestore(folder, save_freq=1), Stop()], **fit
            )
        assert len(seen) == 5
        again = model_of(device, rate=0.5)
        assert again.fit(x, y, shuffle=False, callbacks=[BackupAndRestore(folder)], **fit).history == history
        whole.save(f"{folder}/model")
        loaded = load_model(f"{folder}/model")
    np.testing.assert_allclose(loaded.evaluate(x, y, verbose=0), whole.evaluate(x, y, verbose=0), rtol=1e-4)


if __name__ == "__main__":
    for check in (check_trainings, check_metrics):
        check(sys.argv[1])
    print("as they should be")
