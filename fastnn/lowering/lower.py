"""Lowers declared layers to a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn.common.precisions import DTYPES, MIXED
from fastnn.common.user_warnings import warn
from fastnn.kernels import codes
from fastnn.kernels.host import cpu
from fastnn.lowering.plan import Plan
from fastnn.lowering.weight_places import WITH_WEIGHTS


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


def lower(
    layers: Iterable[Any], n_inputs: int, dtype: str = "float32", l2_per_row: bool = False, device: str = "cpu"
) -> Plan:
    """Lower declared layers to a plan.

    Parameters
    ----------
    layers : iterable of layers
        With ``kind`` "input", "flatten", "rescaling", "dense", "activation", "dropout", "normalization",
        "batch_normalization" or "layer_normalization" and the attributes of ``fastnn.layers``.
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
        For an unknown dtype, if no layer computes anything, or if one rescales what is no input.
    """
    name = np.dtype(dtype).name if dtype in (np.float32, np.float64) else dtype
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    mixed = name == MIXED and (device == "cuda" or _can_mix())
    name = "float32" if name == MIXED else name
    lanes = cpu.lanes(np.dtype(name))
    rows: list[list[int]] = []
    factors: list[dict[int, float]] = []
    width = n_inputs
    scale, offset = 1.0, 0.0

    def append(factor: dict[int, float], **columns: int) -> None:
        columns = {"INPUTS": width, "OUTPUTS": width, **columns}
        columns["PANELS"] = -(-columns["OUTPUTS"] // lanes)
        rows.append([columns.get(column, 0) for column in codes.OPERATION_COLUMNS])
        factors.append(factor)

    for layer in layers:
        if layer.kind == "dense":
            penalty = layer.kernel_regularizer
            append(
                {codes.ALPHA: layer.activation.alpha, codes.L2: penalty.l2 if penalty else 0.0},
                KIND=codes.DENSE, OUTPUTS=layer.units, BIAS=int(layer.use_bias),
                FUNCTION=codes.ACTIVATIONS.index(layer.activation.name), PANEL=(width + layer.use_bias) * lanes,
            )  # fmt: skip
            width = layer.units
        elif layer.kind == "activation" and layer.activation.name != "linear":
            function = codes.ACTIVATIONS.index(layer.activation.name)
            if rows and rows[-1][codes.KIND] in WITH_WEIGHTS and rows[-1][codes.FUNCTION] == codes.LINEAR:
                rows[-1][codes.FUNCTION] = function
                factors[-1][codes.ALPHA] = layer.activation.alpha
            else:
                append({codes.ALPHA: layer.activation.alpha}, KIND=codes.ACTIVATION, FUNCTION=function)
        elif layer.kind == "rescaling":
            if rows:
                raise ValueError(f"layer {layer.name!r} rescales inputs: it must stand before all layers that compute")
            scale, offset = scale * layer.scale, offset * layer.scale + layer.offset
        elif layer.kind == "normalization":
            if any(row[codes.KIND] != codes.STANDARDIZE for row in rows):
                raise ValueError(f"layer {layer.name!r} scales inputs: it must stand before all layers that compute")
            append({}, KIND=codes.STANDARDIZE)
        elif layer.kind == "dropout" and layer.rate > 0.0:
            append({codes.RATE: layer.rate}, KIND=codes.DROPOUT)
        elif layer.kind in ("batch_normalization", "layer_normalization"):
            batch = layer.kind == "batch_normalization"
            append(
                {codes.VARIANCE_OFFSET: layer.epsilon, codes.MOVING_SHARE: 1.0 - layer.momentum if batch else 0.0},
                KIND=codes.BATCH_NORM if batch else codes.LAYER_NORM,
                SCALES=int(layer.scale), CENTERS=int(layer.center),
            )  # fmt: skip
    if not rows:
        raise ValueError("the model computes nothing: add a Dense or an Activation layer")
    columns = range(len(codes.FACTOR_COLUMNS))
    table = np.array([[factor.get(column, 0.0) for column in columns] for factor in factors], name)
    return Plan(np.array(rows, np.int64), table, l2_per_row, (scale, offset), mixed)
