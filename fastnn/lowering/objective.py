"""What a training minimises and reports, bound to a network: codes for the compiled programs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from fastnn.kernels import codes
from fastnn.losses import Loss
from fastnn.losses.base import FROM_LOGITS
from fastnn.losses.regression import metric_factors

FUSED = {  # losses that include the last activation
    "sigmoid": ("binary_crossentropy", "binary_focal_crossentropy"),
    "softmax": ("categorical_crossentropy", "categorical_focal_crossentropy"),
    "exponential": ("poisson_deviance", "poisson"),
}


@dataclass(frozen=True)
class Objective:
    """What a run minimises and reports, in codes of ``kernels/codes.py``.

    Attributes
    ----------
    loss : code of the loss; it takes logits where the last activation is part of it
    metrics : codes of the metrics; they see what the network puts out
    metrics_first : whether that is logits, which the loss turns into probabilities
    target_width : columns of the targets, 1 for class numbers
    ops : the plan's operation table, its last activation left out where the loss includes it
    factors : (1 + metrics, LOSS_COLUMNS + n_outputs), parameters of the loss and of each metric
    """

    loss: int
    metrics: tuple[int, ...]
    metrics_first: bool
    target_width: int
    ops: np.ndarray = field(repr=False)
    factors: np.ndarray = field(repr=False)


def bind(
    ops: np.ndarray,
    dtype: np.dtype,
    loss: Loss,
    metrics: Iterable[str] = (),
    factors: Iterable[np.ndarray] = (),
    limit: float = math.inf,
) -> Objective:
    """Bind a loss and names of metrics, with the parameters of each, to a network given by the operations of its plan.

    What one output adds to a cross-entropy of logits is reported as ``limit`` at most, if labels are not smoothed.

    Raises
    ------
    ValueError
        If the loss and the last layer, or a metric on logits and the last layer, do not fit together.
    """
    name, function, n_outputs = loss.name, codes.ACTIVATIONS[ops[-1, codes.FUNCTION]], int(ops[-1, codes.OUTPUTS])
    if "categorical" in name and n_outputs < 2:
        raise ValueError(
            f"loss {name!r} needs one output for each class; the last layer has {n_outputs}. "
            f"Use 'binary_crossentropy' for two classes on one output, or more units"
        )
    if loss.sparse and n_outputs > 2 ** (np.finfo(dtype).nmant + 1):
        raise ValueError(f"{dtype} cannot tell {n_outputs} class numbers from each other: use dtype='float64'")
    if loss.from_logits and function != "linear":
        raise ValueError(
            f"loss {name!r} with from_logits=True needs a last layer without activation; it has {function!r}. "
            f"Leave from_logits out, or the activation"
        )
    metrics, target_width = tuple(metrics), loss.target_width(n_outputs)
    for metric in metrics:
        if metric.endswith(FROM_LOGITS) and function != "linear":
            raise ValueError(
                f"metric {metric.removesuffix(FROM_LOGITS)!r} with from_logits=True needs a last layer without "
                f"activation; it has {function!r}. Leave from_logits out, or the activation"
            )
    if metrics and not loss.sparse and target_width != n_outputs:
        raise ValueError(
            f"loss {name!r} has {n_outputs} outputs for {target_width} targets, and no metric is defined for "
            "that: leave the metrics out"
        )
    includes_activation = name.removeprefix("sparse_") in FUSED.get(function, ())
    ops, parameters = ops.copy(), [*factors] or [metric_factors(n_outputs)] * len(metrics)
    if includes_activation:
        ops[-1, codes.FUNCTION] = codes.LINEAR
    if includes_activation or loss.from_logits:
        name += FROM_LOGITS
    own = loss.factors(n_outputs)
    own[codes.LIMIT] = limit if own[codes.KEPT] == 1.0 else math.inf
    return Objective(
        loss=codes.LOSSES.index(name),
        metrics=tuple(map(codes.METRICS.index, metrics)),
        metrics_first=loss.from_logits,
        target_width=target_width,
        ops=ops,
        factors=np.array([own, *parameters], dtype),
    )
