"""Lowers declared layers, a loss and metrics to a plan: tables of integers and floats over flat memory.

A plan is data. The compiled programs in ``kernels/`` read it, so the same program trains any model. Weights of
a dense layer stand in panels of one vector's width, the bias as the first row of every panel, padding zero.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.kernels import codes, jit
from fastnn.kernels.mixed_cpu import half
from fastnn.layout import Layout, layout
from fastnn.losses import Loss, MeanSquaredError

DTYPES = ("float32", "float64", MIXED := "mixed_bfloat16")
FROM_LOGITS = "_from_logits"


@dataclass(frozen=True)
class Objective:
    """What a run minimises and reports, in codes of ``kernels/codes.py``.

    Attributes
    ----------
    loss : code of the loss; it takes logits where the last activation is part of it
    metrics : codes of the metrics; they see probabilities, also where the loss is given logits
    target_width : columns of the targets, 1 for class numbers
    ops : the plan's operation table, its last activation left out where the loss includes it
    factors : (1 + metrics, LOSS_COLUMNS + n_outputs), parameters of the loss and of each metric
    """

    loss: int
    metrics: tuple[int, ...]
    target_width: int
    ops: np.ndarray = field(repr=False)
    factors: np.ndarray = field(repr=False)


class Plan:
    """A network lowered for one element type.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Width of a row of input and of output.
    dtype : numpy.dtype
    weight_shapes : list of tuple
        (inputs, units) and, with a bias, (units,) of every dense layer, in order.
    n_parameters : int
        Elements of the flat parameter vector, padding included.
    ops, factors : ndarray
        Integer table (operations, OPERATION_COLUMNS) and float table (operations, FACTOR_COLUMNS).
    scaling : ndarray of shape (2,)
        Factor and summand that every input goes through on its way into the workspace.
    mixed : bool
        Whether products are of bfloat16, their sums and everything else float32.
    memory_size : int
        Elements of the vector that holds the parameters and, behind them, the rounded weights of mixed precision.
    l2_per_row : bool
        Whether a penalty is divided by the rows of the batch, as scikit-learn does, or not, as Keras does.
    """

    def __init__(
        self,
        ops: np.ndarray,
        factors: np.ndarray,
        l2_per_row: bool = False,
        scaling: tuple[float, float] = (1.0, 0.0),
        mixed: bool = False,
    ) -> None:
        self.ops = ops
        self.factors = factors
        self.dtype = factors.dtype
        self.l2_per_row = l2_per_row
        self.scaling = np.array(scaling, self.dtype)
        self.n_inputs = int(ops[0, codes.INPUTS])
        self.n_outputs = int(ops[-1, codes.OUTPUTS])
        self.dense = [op for op in ops if op[codes.KIND] == codes.DENSE]
        self.n_parameters = int(sum(op[codes.PANEL] * op[codes.PANELS] for op in self.dense))
        self.mixed = mixed
        self.memory_size = _place_pairs(ops, self.n_parameters, jit.lanes(self.dtype)) if mixed else self.n_parameters
        self.weight_shapes: list[tuple[int, ...]] = []
        for op in self.dense:
            self.weight_shapes.append((int(op[codes.INPUTS]), int(op[codes.OUTPUTS])))
            if op[codes.BIAS]:
                self.weight_shapes.append((int(op[codes.OUTPUTS]),))

    @property
    def flops_per_row(self) -> int:
        """Multiplications and additions of one row's way forward."""
        return int(sum(2 * op[codes.INPUTS] * op[codes.OUTPUTS] for op in self.dense))

    def _panels(self, flat: np.ndarray, op: np.ndarray) -> np.ndarray:
        """View of a dense operation's part of a flat vector, (panels, inputs + bias, lanes)."""
        part = flat[op[codes.WEIGHTS] : op[codes.WEIGHTS] + op[codes.PANEL] * op[codes.PANELS]]
        return part.reshape(op[codes.PANELS], op[codes.INPUTS] + op[codes.BIAS], -1)

    def pack(self, weights: Sequence[np.ndarray], flat: np.ndarray) -> None:
        """Write weights of ``weight_shapes`` to a flat vector of ``n_parameters``."""
        arrays = iter(weights)
        for op in self.dense:
            panels, bias = self._panels(flat, op), op[codes.BIAS]
            rows = np.zeros((op[codes.INPUTS] + bias, panels.shape[0] * panels.shape[2]), self.dtype)
            rows[bias:, : op[codes.OUTPUTS]] = next(arrays)
            if bias:
                rows[0, : op[codes.OUTPUTS]] = next(arrays)
            panels[...] = rows.reshape(len(rows), panels.shape[0], -1).transpose(1, 0, 2)

    def unpack(self, flat: np.ndarray) -> list[np.ndarray]:
        """Return copies of the weights in a flat vector, shaped like ``weight_shapes``."""
        weights = []
        for op in self.dense:
            panels, bias = self._panels(flat, op), op[codes.BIAS]
            rows = panels.transpose(1, 0, 2).reshape(panels.shape[1], -1)[:, : op[codes.OUTPUTS]]
            weights.append(rows[bias:].copy())
            if bias:
                weights.append(rows[0].copy())
        return weights

    def objective(self, loss: Loss, metrics: Iterable[str] = ()) -> Objective:
        """Bind a loss and names of metrics to this network.

        Raises
        ------
        ValueError
            If the loss and the last layer, or a metric on logits and the loss, do not fit together.
        """
        name, last = loss.name, self.ops[-1]
        function = codes.ACTIVATIONS[last[codes.FUNCTION]]
        if "categorical" in name and self.n_outputs < 2:
            raise ValueError(
                f"loss {name!r} needs one output for each class; the last layer has {self.n_outputs}. "
                f"Use 'binary_crossentropy' for two classes on one output, or more units"
            )
        if loss.from_logits and function != "linear":
            raise ValueError(
                f"loss {name!r} with from_logits=True needs a last layer without activation; it has {function!r}. "
                f"Leave from_logits out, or the activation"
            )
        fused = {
            "sigmoid": ("binary_crossentropy", "binary_focal_crossentropy"),
            "softmax": ("categorical_crossentropy", "categorical_focal_crossentropy"),
            "exponential": ("poisson_deviance", "poisson"),
        }
        includes_activation = name.removeprefix("sparse_") in fused.get(function, ())
        metrics, target_width = tuple(metrics), loss.target_width(self.n_outputs)
        if metrics and not loss.sparse and target_width != self.n_outputs:
            raise ValueError(
                f"loss {name!r} has {self.n_outputs} outputs for {target_width} targets, and no metric is defined for "
                "that: leave the metrics out"
            )
        ops, plain = self.ops.copy(), MeanSquaredError().factors(self.n_outputs)
        if includes_activation:
            ops[-1, codes.FUNCTION] = codes.LINEAR
        if includes_activation or loss.from_logits:
            name += FROM_LOGITS
        return Objective(
            loss=codes.LOSSES.index(name),
            metrics=tuple(_metric_code(metric, loss.from_logits) for metric in metrics),
            target_width=target_width,
            ops=ops,
            factors=np.array([loss.factors(self.n_outputs), *[plain] * len(metrics)], self.dtype),
        )

    def check_trainable(self) -> None:
        """Raise ValueError if a gradient cannot pass through the network."""
        if codes.STEP in self.ops[:, codes.FUNCTION]:
            raise ValueError(
                "activation 'step' has no useful derivative, so a network cannot be trained through it; use 'sigmoid' "
                "or 'relu', or fastnn.Perceptron, whose rule needs no derivative"
            )

    def layout(self, ops: np.ndarray, batch_size: int, sparse: bool = False) -> Layout:
        """Give every operation of ``ops`` its places in a workspace for batches of up to ``batch_size`` rows.

        With ``sparse`` inputs the workspace has no room for them.

        Raises
        ------
        ValueError
            For sparse inputs in mixed precision.
        """
        if sparse and self.mixed:
            raise ValueError("dtype 'mixed_bfloat16' is not trained on sparse rows: use float32, or a dense array")
        return layout(ops, batch_size, self.dtype, self.mixed, sparse)


def _can_mix() -> bool:
    """Whether this CPU has products of bfloat16; a warning says so if not."""
    if jit.has_bfloat16():
        return True
    warnings.warn(
        "dtype 'mixed_bfloat16' needs a CPU with AVX512-BF16, which this one lacks, or FASTNN_SIMD leaves it out: "
        "float32 is used",
        RuntimeWarning,
        stacklevel=3,
    )
    return False


def _place_pairs(ops: np.ndarray, used: int, lanes: int) -> int:
    """Place the rounded weights of ``ops`` from element ``used`` on; return the number of elements then used."""
    has_dense_below = False
    for op in ops:
        if op[codes.KIND] == codes.DENSE:
            op[codes.W_PAIRS] = used
            used += int(op[codes.PANELS] * half(op[codes.INPUTS])) * lanes
            if has_dense_below:
                op[codes.WT_PAIRS] = used
                used += int(-(-op[codes.INPUTS] // lanes) * half(op[codes.PANELS])) * lanes * lanes
            has_dense_below = True
    return used


def _metric_code(metric: str, logits: bool) -> int:
    """Code of a metric. One on logits sees what the loss made of them, probabilities, so the loss must take logits."""
    if metric.endswith(FROM_LOGITS) and not logits:
        name = metric.removesuffix(FROM_LOGITS)
        raise ValueError(
            f"metric {name!r} with from_logits=True needs a loss with from_logits=True too; leave it out of the "
            "metric, or give it to the loss"
        )
    return codes.METRICS.index(metric.removesuffix(FROM_LOGITS))


def lower(layers: Iterable[Any], n_inputs: int, dtype: str = "float32", l2_per_row: bool = False) -> Plan:
    """Lower declared layers to a plan.

    Parameters
    ----------
    layers : iterable of layers
        With ``kind`` "input", "flatten", "rescaling", "dense", "activation" or "dropout" and the attributes of
        ``fastnn.layers``.
    n_inputs : int
        Width of a row of input.
    dtype : {"float32", "float64", "mixed_bfloat16"}
        With "mixed_bfloat16", products are of bfloat16, their sums and everything else float32: weights, activations,
        loss and optimizer. It needs a CPU with AVX512-BF16; elsewhere a warning is given, and float32 used.
    l2_per_row : bool, default=False
        Divide penalties by the number of rows in a batch (scikit-learn) instead of adding them whole (Keras).

    Raises
    ------
    ValueError
        For an unknown dtype, if no layer computes anything, or if one rescales what is no input.
    """
    name = np.dtype(dtype).name if dtype in (np.float32, np.float64) else dtype
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    mixed = name == MIXED and _can_mix()
    name = "float32" if name == MIXED else name
    lanes = jit.lanes(np.dtype(name))
    rows: list[list[int]] = []
    factors: list[tuple[float, float, float]] = []
    width, used = n_inputs, 0
    scale, offset = 1.0, 0.0

    def append(**columns: int) -> None:
        rows.append([columns.get(column, 0) for column in codes.OPERATION_COLUMNS])

    for layer in layers:
        if layer.kind == "dense":
            panels, panel = -(-layer.units // lanes), (width + layer.use_bias) * lanes
            append(
                KIND=codes.DENSE, INPUTS=width, OUTPUTS=layer.units, BIAS=int(layer.use_bias), WEIGHTS=used,
                FUNCTION=codes.ACTIVATIONS.index(layer.activation.name), PANEL=panel, PANELS=panels,
            )  # fmt: skip
            penalty = layer.kernel_regularizer
            factors.append((layer.activation.alpha, 0.0, penalty.l2 if penalty else 0.0))
            width, used = layer.units, used + panel * panels
        elif layer.kind == "activation" and layer.activation.name != "linear":
            function = codes.ACTIVATIONS.index(layer.activation.name)
            if rows and rows[-1][codes.KIND] == codes.DENSE and rows[-1][codes.FUNCTION] == codes.LINEAR:
                rows[-1][codes.FUNCTION] = function
                factors[-1] = (layer.activation.alpha, *factors[-1][1:])
            else:
                append(KIND=codes.ACTIVATION, INPUTS=width, OUTPUTS=width, FUNCTION=function, PANELS=-(-width // lanes))
                factors.append((layer.activation.alpha, 0.0, 0.0))
        elif layer.kind == "rescaling":
            if rows:
                raise ValueError(f"layer {layer.name!r} rescales inputs: it must stand before all layers that compute")
            scale, offset = scale * layer.scale, offset * layer.scale + layer.offset
        elif layer.kind == "dropout" and layer.rate > 0.0:
            append(KIND=codes.DROPOUT, INPUTS=width, OUTPUTS=width, PANELS=-(-width // lanes))
            factors.append((0.0, layer.rate, 0.0))
    if not rows:
        raise ValueError("the model computes nothing: add a Dense or an Activation layer")
    return Plan(np.array(rows, np.int64), np.array(factors, name), l2_per_row, (scale, offset), mixed)
