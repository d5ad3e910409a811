"""What a training minimizes and reports, bound to a network: codes for the compiled programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fastnn.kernels import codes
from fastnn.losses import Loss
from fastnn.losses.base import FROM_LOGITS
from fastnn.losses.regression import metric_factors
from fastnn.metrics.base import Sums


@dataclass(frozen=True)
class Objective:
    """What a run minimizes and reports, in codes of ``kernels/codes.py``.

    Attributes
    ----------
    loss : code of the loss; it takes logits where the last activation is part of it
    metrics : kernels of the metrics with the columns that each writes; they see what the network puts out
    widths : columns of each metric, which may have several kernels
    metrics_first : whether that is logits, which the loss turns into probabilities
    target_width : columns of the targets, 1 for class numbers
    ops : the plan's operation table, its last activation left out where the loss includes it
    factors : (1 + kernels, LOSS_COLUMNS + n_outputs), parameters of the loss and of each kernel of a metric
    """

    loss: int
    metrics: tuple[tuple[str, int], ...]
    widths: tuple[int, ...]
    metrics_first: bool
    target_width: int
    ops: np.ndarray = field(repr=False)
    factors: np.ndarray = field(repr=False)

    @property
    def columns(self) -> int:
        """Columns of sums over the rows: the loss, then those of the metrics."""
        return 1 + sum(self.widths)


def bind(
    ops: np.ndarray,
    dtype: np.dtype,
    loss: Loss,
    metrics: Iterable[str | Sequence[Sums]] = (),
    limit: float = math.inf,
) -> Objective:
    """Bind a loss and metrics to a network given by the operations of its plan.

    A metric is what is added up for it, or the name of a kernel without parameters. What one output adds to a
    cross-entropy of logits is reported as ``limit`` at most, if labels are not smoothed.

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
    target_width, plain = loss.target_width(n_outputs), metric_factors(n_outputs)
    sums = [(Sums(metric, plain, {}),) if isinstance(metric, str) else metric for metric in metrics]
    kernels = [each for own in sums for each in own]
    for kernel, *_ in kernels:
        if kernel.endswith(FROM_LOGITS) and function != "linear":
            raise ValueError(
                f"metric {kernel.removesuffix(FROM_LOGITS)!r} with from_logits=True needs a last layer without "
                f"activation; it has {function!r}. Leave from_logits out, or the activation"
            )
    if kernels and not loss.sparse and target_width != n_outputs:
        raise ValueError(
            f"loss {name!r} has {n_outputs} outputs for {target_width} targets, and no metric is defined for "
            "that: leave the metrics out"
        )
    includes_activation = function == loss.activation
    ops = ops.copy()
    if includes_activation:
        ops[-1, codes.FUNCTION] = codes.LINEAR
    if includes_activation or loss.from_logits:
        name += FROM_LOGITS
    own = loss.factors(n_outputs)
    own[codes.LIMIT] = limit if own[codes.KEPT] == 1.0 else math.inf
    return Objective(
        loss=codes.LOSSES.index(name),
        metrics=tuple((each.kernel, each.width) for each in kernels),
        widths=tuple(sum(each.width for each in own) for own in sums),
        metrics_first=loss.from_logits,
        target_width=target_width,
        ops=ops,
        factors=np.array([own, *(each.factors for each in kernels)], dtype),
    )
