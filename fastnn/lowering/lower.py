"""Lowers declared layers to a plan."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn.common.precisions import DTYPES, MIXED
from fastnn.common.user_warnings import warn
from fastnn.kernels import codes
from fastnn.kernels.host import cpu
from fastnn.kernels.records import Windows
from fastnn.lowering.kinds import WITH_WEIGHTS
from fastnn.lowering.plan import Plan


def _can_mix() -> bool:
    """Whether this CPU has products of bfloat16; a warning says so if not."""
    if cpu.has_bfloat16():
        return True
    warn(
        "dtype 'mixed_bfloat16' needs a CPU with AVX512-BF16, which this one lacks, or FASTNN_SIMD leaves it out: "
        "float32 is used",
        RuntimeWarning,
    )
    return False


class _Table:
    """Rows of a plan's tables, as far as the layers are lowered."""

    def __init__(self, width: int, lanes: int) -> None:
        self.width, self.lanes = width, lanes
        self.rows: list[list[int]] = []
        self.factors: list[dict[int, float]] = []
        self.scaling = 1.0, 0.0

    def append(self, factor: dict[int, float], **columns: int) -> None:
        """Add an operation, by the names of its columns."""
        columns = {"INPUTS": self.width, "OUTPUTS": self.width, "STREAM": len(self.rows), **columns}
        columns["PANELS"] = -(-columns["OUTPUTS"] // self.lanes)
        self.rows.append([columns.get(column, 0) for column in codes.OPERATION_COLUMNS])
        self.factors.append(factor)
        self.width = columns["OUTPUTS"]

    def append_windows(self, factor: dict[int, float], windows: Windows, **columns: int) -> None:
        """Add an operation with windows that slide over pictures; all before it are on pictures too."""
        shape = [windows.height, windows.width, windows.channels]
        for row in itertools.takewhile(lambda row: not row[codes.HEIGHT], reversed(self.rows)):
            row[codes.HEIGHT : codes.FILTERS + 1] = shape + shape
        self.append(factor, **{name.upper(): number for name, number in windows._asdict().items()}, **columns)
        self.width = windows.out_height * windows.out_width * windows.filters


def _nothing(table: _Table, layer: Any) -> None:
    """A layer that computes nothing."""


def _dense(table: _Table, layer: Any) -> None:
    penalty = layer.kernel_regularizer
    table.append(
        {codes.ALPHA: layer.activation.alpha, codes.L2: penalty.l2 if penalty else 0.0},
        KIND=codes.DENSE, OUTPUTS=layer.units, BIAS=int(layer.use_bias),
        FUNCTION=codes.ACTIVATIONS.index(layer.activation.name), PANEL=(table.width + layer.use_bias) * table.lanes,
    )  # fmt: skip


def _activation(table: _Table, layer: Any) -> None:
    """An operation of its own, unless the layer before it has weights and no activation yet."""
    function, factor = codes.ACTIVATIONS.index(layer.activation.name), {codes.ALPHA: layer.activation.alpha}
    below = table.rows[-1] if table.rows else None
    if function == codes.LINEAR:
        return
    joins = below is not None and below[codes.KIND] in WITH_WEIGHTS and below[codes.FUNCTION] == codes.LINEAR
    if below is not None and joins and (below[codes.KIND] != codes.CONVOLUTION or function == codes.RELU):
        below[codes.FUNCTION] = function
        table.factors[-1] |= factor
    else:
        table.append(factor, KIND=codes.ACTIVATION, FUNCTION=function)


def _convolution(table: _Table, layer: Any) -> None:
    """A rectifier behind it is part of it; other activations are operations of their own."""
    windows, penalty, function = _windows(layer), layer.kernel_regularizer, layer.activation.name
    rows = windows.kernel_height * windows.kernel_width * windows.channels
    table.append_windows(
        {codes.L2: penalty.l2 if penalty else 0.0}, windows,
        KIND=codes.CONVOLUTION, AXES=len(layer.input_shape) - 2, INPUTS=rows, OUTPUTS=windows.filters,
        BIAS=int(layer.use_bias), FUNCTION=codes.RELU if function == "relu" else codes.LINEAR,
        PANEL=(rows + layer.use_bias) * table.lanes,
    )  # fmt: skip
    if function == "softmax":
        raise ValueError(
            f"layer {layer.name!r}: a softmax is computed of flat rows, not of the channels of pictures: put it behind "
            "a Flatten() or GlobalAveragePooling2D() layer"
        )
    if function != "relu":
        _activation(table, layer)


def _max_pooling(table: _Table, layer: Any) -> None:
    table.append_windows({}, _windows(layer), KIND=codes.MAX_POOL)


def _average_pooling(table: _Table, layer: Any) -> None:
    table.append_windows({}, _windows(layer), KIND=codes.AVERAGE_POOL)


def _windows(layer: Any) -> Windows:
    """Windows of a layer; that of global pooling is the whole picture. Sequences are pictures of one line."""
    if hasattr(type(layer), "geometry"):
        return Windows(*layer.geometry())
    *sizes, channels = layer.input_shape[1:]
    height, width = (1, *sizes)[-2:]
    return Windows(height, width, channels, 1, 1, channels, height, width, 1, 1, 1, 1, 0, 0)


def _rescaling(table: _Table, layer: Any) -> None:
    if table.rows:
        raise ValueError(f"layer {layer.name!r} rescales inputs: it must stand before all layers that compute")
    scale, offset = table.scaling
    table.scaling = scale * layer.scale, offset * layer.scale + layer.offset


def _standardization(table: _Table, layer: Any) -> None:
    if any(row[codes.KIND] != codes.STANDARDIZE for row in table.rows):
        raise ValueError(f"layer {layer.name!r} scales inputs: it must stand before all layers that compute")
    table.append({}, KIND=codes.STANDARDIZE)


def _dropout(table: _Table, layer: Any) -> None:
    if layer.rate > 0.0:
        table.append({codes.RATE: layer.rate}, KIND=codes.DROPOUT)


def _batch_normalization(table: _Table, layer: Any) -> None:
    _normalization(table, layer, codes.BATCH_NORM, 1.0 - layer.momentum)


def _layer_normalization(table: _Table, layer: Any) -> None:
    _normalization(table, layer, codes.LAYER_NORM, 0.0)


def _normalization(table: _Table, layer: Any, kind: int, moving_rate: float) -> None:
    if len(layer.input_shape or ()) > 2:
        raise ValueError(
            f"layer {layer.name!r} normalizes channels of inputs of shape {layer.input_shape}, which no kernel "
            "computes: put a Flatten() layer before it"
        )
    table.append(
        {codes.VARIANCE_OFFSET: layer.epsilon, codes.MOVING_RATE: moving_rate},
        KIND=kind, SCALES=int(layer.scale), CENTERS=int(layer.center),
    )  # fmt: skip


# What becomes of a layer, by its ``kind``.
LOWERED: dict[str, Callable[[_Table, Any], None]] = {
    "input": _nothing,
    "flatten": _nothing,
    "rescaling": _rescaling,
    "normalization": _standardization,
    "dense": _dense,
    "activation": _activation,
    "dropout": _dropout,
    "batch_normalization": _batch_normalization,
    "layer_normalization": _layer_normalization,
}
# On pictures, for CPUs and in float32 or float64.
ON_PICTURES: dict[str, Callable[[_Table, Any], None]] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "max_pooling1d": _max_pooling,
    "max_pooling2d": _max_pooling,
    "average_pooling1d": _average_pooling,
    "average_pooling2d": _average_pooling,
    "global_max_pooling1d": _max_pooling,
    "global_max_pooling2d": _max_pooling,
    "global_average_pooling1d": _average_pooling,
    "global_average_pooling2d": _average_pooling,
}
LOWERED |= ON_PICTURES


def _check_pictures(layer: Any, mixed: bool, device: str) -> None:
    what = f"layer {layer.name!r} ({type(layer).__name__}) has no kernel for"
    if device != "cpu":
        raise ValueError(f"{what} GPUs yet: make the model with device='cpu'")
    if mixed:
        raise ValueError(f"{what} dtype 'mixed_bfloat16' yet: make the model with dtype='float32'")


def lower(
    layers: Iterable[Any], n_inputs: int, dtype: str = "float32", l2_per_row: bool = False, device: str = "cpu"
) -> Plan:
    """Lower declared layers to a plan.

    Parameters
    ----------
    layers : iterable of layers
        With a ``kind`` that is in `LOWERED` and the attributes of ``fastnn.layers``.
    n_inputs : int
        Width of a row of input.
    dtype : {"float32", "float64", "mixed_bfloat16"}
        With "mixed_bfloat16", products are of bfloat16, their sums and everything else float32: weights, activations,
        loss and optimizer. It needs a CPU with AVX512-BF16, else a warning is given and float32 used; or a GPU.
    l2_per_row : bool, default=False
        Divide penalties by the number of rows in a batch (scikit-learn) instead of adding them whole (Keras).
    device : {"cpu", "cuda"}
        Where the plan is to run.

    Raises
    ------
    ValueError
        For an unknown dtype or kind of layer, if no layer computes anything, if one rescales what is no input, or for
        layers on pictures that are to run on a GPU or in mixed precision.
    """
    name = np.dtype(dtype).name if dtype in (np.float32, np.float64) else dtype
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    mixed = name == MIXED and (device == "cuda" or _can_mix())
    name = "float32" if name == MIXED else name
    lanes = cpu.lanes(np.dtype(name))
    table = _Table(n_inputs, lanes)
    for layer in layers:
        if layer.kind not in LOWERED:
            raise ValueError(f"layer {layer.name!r} is of a kind that no kernel computes: {layer.kind!r}")
        if layer.kind in ON_PICTURES:
            _check_pictures(layer, mixed, device)
        LOWERED[layer.kind](table, layer)
    if not table.rows:
        raise ValueError("the model computes nothing: add a Dense or an Activation layer")
    if table.rows[-1][codes.HEIGHT]:  # what is behind pictures takes rows
        table.append({}, KIND=codes.ACTIVATION, FUNCTION=codes.LINEAR)
    columns = range(len(codes.FACTOR_COLUMNS))
    factors = np.array([[factor.get(column, 0.0) for column in columns] for factor in table.factors], name)
    return Plan(np.array(table.rows, np.int64), factors, l2_per_row, table.scaling, mixed)
