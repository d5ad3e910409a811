"""What the kernel tests share: one network as the engine and as the oracle know it, and comparisons of the two."""

import importlib
import pkgutil
import textwrap
from pathlib import Path

import numpy as np
from fastnn.kernels import reference
from fastnn.kernels.reference.normalization import weights_of_normalization

from fastnn import losses, optimizers
from fastnn.data.samples import Samples
from fastnn.engine.factory import make_engine
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Dense, Dropout
from fastnn.lowering.lower import lower

ODD_SIZES = (1, 3, 17, 63, 100, 513)
AMX_FEATURES = {"amx-tile", "amx-bf16"}


def folders_of(file):
    """What a new process needs in ``sys.path`` for the modules beside a file of tests, and for those of this folder."""
    return [str(Path(file).parent), str(Path(__file__).parent)]


def import_all(package):
    """Import every module of a package and of those in it."""
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)


def tolerance(dtype, float32, float64):
    """Pick the tolerance of a precision."""
    return float32 if np.dtype(dtype) == np.float32 else float64


def assert_close(given, expected, relative):
    """Compare arrays, or lists of arrays, to within ``relative`` of the largest expected entry of each array."""
    if not isinstance(given, list):
        given, expected = [given], [expected]
    for ours, theirs in zip(given, expected, strict=True):
        finite = np.abs(theirs[np.isfinite(theirs)])
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * finite.max(initial=1e-300))


def assert_same_bits(given, expected):
    """Compare arrays, or lists of arrays, bit for bit."""
    if not isinstance(given, list):
        given, expected = [given], [expected]
    for ours, theirs in zip(given, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()


def same_weights(one, other):
    """Compare the weights of two estimators bit for bit."""
    for mine, theirs in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def with_amx(code):
    """Code for a new process that compiles for a CPU like this one, but with AMX."""
    return f"""
import llvmlite.binding
features = llvmlite.binding.get_host_cpu_features()
features.update(dict.fromkeys({sorted(AMX_FEATURES)}, True))
llvmlite.binding.get_host_cpu_features = lambda: features
{textwrap.dedent(code)}"""


def assert_padding_is_zero(engine):
    """What fills up the panels of weights must stay zero, or gradients would flow through it."""
    packed = np.zeros_like(engine.params)
    engine.plan.pack(engine.get_weights(), packed)
    trained = engine.plan.n_parameters
    if np.isfinite(packed).all():
        np.testing.assert_array_equal(engine.params[:trained], packed[:trained])


def described(layers, mixed=False):
    """Layers as ``kernels.reference`` wants them: dropouts numbered as the plan does, which folds activations."""
    described, operations, foldable = [], 0, False
    for layer in layers:
        if layer.kind == "dense":
            penalty = layer.kernel_regularizer
            common = {"activation": layer.activation.name, "alpha": layer.activation.alpha, "mixed": mixed}
            described.append(
                {"kind": "dense", "use_bias": layer.use_bias, "l2": penalty.l2 if penalty else 0.0, **common}
            )
            foldable = layer.activation.name == "linear"
            operations += 1
        elif layer.kind == "activation":
            common = {"activation": layer.activation.name, "alpha": layer.activation.alpha}
            described.append({"kind": "activation", **common})
            operations += layer.activation.name != "linear" and not foldable
            foldable &= layer.activation.name == "linear"
        elif layer.kind == "dropout" and layer.rate > 0.0:
            described.append({"kind": "dropout", "rate": layer.rate, "op": operations})
            operations += 1
            foldable = False
        elif layer.kind.endswith("normalization"):
            described.append({"kind": layer.kind, **layer.get_config()})
            operations += 1
            foldable = layer.kind != "normalization"
    return described


def declared_loss(name, **options):
    """Return the loss of a kernel, whose name may end in ``_from_logits``."""
    logits = {"from_logits": True} if name.endswith("entropy_from_logits") else {}
    return losses.get({"class_name": name.removesuffix("_from_logits"), "config": {**logits, **options}})


def weight_names(described):
    """Name of every weight array of layers as ``described`` gives them."""
    for layer in described:
        if layer["kind"] == "dense":
            yield from ("kernel", "bias")[: 1 + layer["use_bias"]]
        elif layer["kind"].endswith("normalization"):
            yield from (name for name, _ in weights_of_normalization(layer))


def random_weight(rng, name, shape):
    """A weight array that suits its name."""
    if name.endswith("variance"):
        return rng.uniform(0.5, 2.0, shape)
    spread = 1.0 / np.sqrt(shape[0]) if name == "kernel" else 0.1
    return (name == "gamma") + spread * rng.normal(size=shape)


class Problem:
    """A network with a loss, random weights and random data, exact in float32, for the engine and the oracle.

    Parameters
    ----------
    layers : declared layers
    inputs : width of a row
    loss : name or Loss
    rows : number of rows of data
    metrics : names
    weighted : whether the rows have weights
    mixed : whether products are of bfloat16, for dtype float32
    device : where the engine runs
    """

    def __init__(
        self, layers, inputs, loss, rows=37, metrics=(), weighted=False, seed=0, l2_per_row=False, mixed=False,
        device="cpu",
    ):  # fmt: skip
        self.device = device
        rng = np.random.default_rng(seed)
        self.layers, self.inputs, self.metrics, self.l2_per_row = layers, inputs, tuple(metrics), l2_per_row
        self.loss, self.mixed = losses.get(loss), mixed
        plan = lower(layers, inputs, "float64")
        self.weights = [
            random_weight(rng, name, shape).astype(np.float32)
            for name, shape in zip(weight_names(self._described()), plan.weight_shapes, strict=True)
        ]
        self.x = rng.normal(size=(rows, inputs)).astype(np.float32)
        self.y = self._targets(rng, rows, plan.n_outputs).astype(np.float32)
        self.sample_weights = rng.uniform(0.5, 2.0, rows).astype(np.float32) if weighted else None

    def _targets(self, rng, rows, outputs):
        classes = rng.integers(0, outputs, (rows, 1))
        return {
            "sparse": lambda: classes,
            "categorical": lambda: np.eye(outputs)[classes[:, 0]],
            "binary": lambda: rng.integers(0, 2, (rows, outputs)),
            "poisson": lambda: rng.poisson(1.5, (rows, outputs)),
        }.get(self.loss.name.split("_")[0], lambda: rng.normal(size=(rows, self.loss.target_width(outputs))))()

    def data(self, dtype):
        """Arrays x, y and the rows' weights or None."""
        return tuple(a if a is None else a.astype(dtype) for a in (self.x, self.y, self.sample_weights))

    def samples(self, dtype):
        """Return the same as the engine takes them."""
        return Samples(*self.data(dtype))

    def engine(self, dtype="float32", threads=None):
        """Return an engine with the weights, and the objective."""
        dtype_name = "mixed_bfloat16" if self.mixed else dtype
        plan = lower(self.layers, self.inputs, dtype_name, self.l2_per_row, self.device)
        engine = make_engine(plan, self.device, threads)
        engine.set_weights([w.astype(dtype) for w in self.weights])
        return engine, engine.plan.objective(self.loss, self.metrics)

    def train(self, dtype="float32", optimizer="adam", threads=None, **options):
        """Train an engine; return it, the objective, and the logs of each epoch."""
        engine, objective = self.engine(dtype, threads)
        engine.reset_optimizer(optimizers.get(optimizer))
        options = {"batch_size": 10, "epochs": 2, "shuffle": True, "seed": 5} | options
        logs = finish_run(engine.train(objective, self.samples(dtype), RunOptions(**options)))
        assert_padding_is_zero(engine)
        return engine, objective, np.array(logs)

    def oracle(self, optimizer="adam", **options):
        """Train in float64 NumPy; return the weights and the logs of each epoch."""
        optimizer = optimizers.get(optimizer)
        options = {"batch_size": 10, "epochs": 2, "shuffle": True, "seed": 5} | options
        x, y, sample_weights = self.data("float64")
        return reference.train(
            self._described(), self.weights, self._named_loss(), optimizer.name, optimizer.hyperparameters(), x, y,
            sample_weights=sample_weights, metrics=self.metrics, l2_per_row=self.l2_per_row,
            loss_options=self.loss.parameters(), clipping=optimizer.clipping(), **options,
        )  # fmt: skip

    def _described(self):
        return described(self.layers, self.mixed)

    def _named_loss(self):
        return self.loss.name + ("_from_logits" if getattr(self.loss, "from_logits", False) else "")

    def outputs(self):
        """Outputs of the network for all rows, by the oracle."""
        return reference.forward(self._described(), self.weights, self.x)[0]

    def gradients(self):
        """Loss with penalties and gradients over all rows as one batch, by the oracle."""
        x, y, sample_weights = self.data("float64")
        value, gradients, _ = reference.loss_and_gradients(
            self._described(), [w.astype(np.float64) for w in self.weights], self._named_loss(), x, y, sample_weights,
            step=0, loss_options=self.loss.parameters(),
        )  # fmt: skip
        return value, gradients


def small_problem(**options):
    """A classifier with a dropout, 43 rows of 6 columns."""
    layers = [Dense(9, "tanh"), Dropout(0.2), Dense(3, "softmax")]
    return Problem(
        layers, 6, "sparse_categorical_crossentropy", rows=43, metrics=["sparse_categorical_accuracy"], **options
    )


def start_run(problem, dtype="float32", optimizer="adam", threads=None, **options):
    """An engine and a run of three epochs of five steps each."""
    engine, objective = problem.engine(dtype, threads)
    engine.reset_optimizer(optimizers.get(optimizer))
    options = {"batch_size": 10, "epochs": 3, "shuffle": True, "seed": 5} | options
    return engine, engine.train(objective, problem.samples(dtype), RunOptions(**options))


def finish_run(run):
    """Do all steps that are left; return the logs of every epoch."""
    while run.advance(10**9):
        pass
    return [run.logs(epoch) for epoch in range(run.epochs)]
