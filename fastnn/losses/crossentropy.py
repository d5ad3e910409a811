"""Losses of classes: cross-entropies, plain and focal, with label smoothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.common import checks
from fastnn.losses.base import Loss

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "SparseCategoricalCrossentropy",
    "SparseCategoricalFocalCrossentropy",
]


class Crossentropy(Loss):
    """Negative log-likelihood of the targets, of probabilities or logits."""

    target_range = (0.0, 1.0)

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits = bool(from_logits)
        self.label_smoothing = checks.number("label_smoothing", label_smoothing, 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class BinaryCrossentropy(Crossentropy):
    """Cross-entropy; targets 0 or 1 (or between), one per output.

    Parameters
    ----------
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    label_smoothing : float, default=0.0
        In [0, 1): targets are moved towards 1/2 by this fraction.
    """

    name = "binary_crossentropy"
    activation = "sigmoid"


class CategoricalCrossentropy(Crossentropy):
    """Cross-entropy; targets one-hot, one column per class.

    Parameters
    ----------
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    label_smoothing : float, default=0.0
        In [0, 1): this fraction of each target is spread evenly over all classes (Szegedy et al., 2016).
    """

    name = "categorical_crossentropy"
    activation = "softmax"


class SparseCategoricalCrossentropy(Crossentropy):
    """Cross-entropy; targets are class numbers 0 .. classes-1.

    Parameters
    ----------
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    ignore_class : None
        fastnn has no class that is left out: give its rows the weight 0, ``sample_weight``.
    label_smoothing : float, default=0.0
        As in `CategoricalCrossentropy`; Keras has it for one-hot targets only.
    """

    name = "sparse_categorical_crossentropy"
    activation = "softmax"

    def __init__(self, from_logits: bool = False, ignore_class: None = None, *, label_smoothing: float = 0.0) -> None:
        if ignore_class is not None:
            raise ValueError(
                f"fastnn has no ignore_class={ignore_class!r}: give the rows of that class the weight 0, sample_weight"
            )
        super().__init__(from_logits, label_smoothing)


class BinaryFocalCrossentropy(Crossentropy):
    """Cross-entropy that counts sure and right outputs less (Lin et al., 2017); targets 0 or 1, one per output.

    The cross-entropy of an output is multiplied by the probability of the wrong answer to the power `gamma`.

    Parameters
    ----------
    apply_class_balancing : bool, default=False
        Whether to weigh the targets 1 with `alpha` and the targets 0 with 1 - `alpha`.
    alpha : float, default=0.25
        In [0, 1].
    gamma : float, default=2.0
        >= 0; 0 is the plain cross-entropy.
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    label_smoothing : float, default=0.0
        In [0, 1): targets are moved towards 1/2 by this fraction.
    """

    name = "binary_focal_crossentropy"
    activation = "sigmoid"

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(from_logits, label_smoothing)
        self.apply_class_balancing = bool(apply_class_balancing)
        self.alpha = checks.number("alpha", alpha, 0.0)
        if self.alpha > 1.0:
            raise ValueError(f"alpha must be in [0, 1]; got {alpha!r}")
        self.gamma = checks.number("gamma", gamma, 0.0)

    def factors(self, n_outputs: int) -> np.ndarray:
        from fastnn.kernels import codes

        row = super().factors(n_outputs)
        balance = (self.alpha, 1.0 - self.alpha) if self.apply_class_balancing else (1.0, 1.0)
        row[[codes.SHAPE, codes.POSITIVE, codes.NEGATIVE]] = self.gamma, *balance
        return row

    def get_config(self) -> dict[str, Any]:
        return {
            "apply_class_balancing": self.apply_class_balancing,
            "alpha": self.alpha,
            "gamma": self.gamma,
            **super().get_config(),
        }


class CategoricalFocalCrossentropy(Crossentropy):
    """Cross-entropy that counts sure and right outputs less (Lin et al., 2017); targets one-hot, a column per class.

    The cross-entropy of a class is multiplied by (1 - its probability) to the power `gamma` and by `alpha`.

    Parameters
    ----------
    alpha : float or sequence of float, default=0.25
        Weight of all classes, or one for each, >= 0.
    gamma : float, default=2.0
        >= 0; 0 is the plain cross-entropy.
    from_logits : bool, default=False
        Whether the last layer gives logits (no activation) rather than probabilities.
    label_smoothing : float, default=0.0
        In [0, 1): this fraction of each target is spread evenly over all classes.
    """

    name = "categorical_focal_crossentropy"
    activation = "softmax"

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(from_logits, label_smoothing)
        self.alpha: float | list[float] = (
            [checks.number("alpha", weight, 0.0) for weight in alpha]  # type: ignore[union-attr]
            if np.ndim(alpha)
            else checks.number("alpha", alpha, 0.0)
        )
        self.gamma = checks.number("gamma", gamma, 0.0)

    def factors(self, n_outputs: int) -> np.ndarray:
        from fastnn.kernels import codes

        if isinstance(self.alpha, list) and len(self.alpha) != n_outputs:
            raise ValueError(f"alpha must be one number or {n_outputs}, one for each class; got {len(self.alpha)}")
        row = super().factors(n_outputs)
        row[codes.SHAPE], row[codes.PER_OUTPUT :] = self.gamma, self.alpha
        return row

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "gamma": self.gamma, **super().get_config()}


class SparseCategoricalFocalCrossentropy(CategoricalFocalCrossentropy):
    """`CategoricalFocalCrossentropy` for targets that are class numbers 0 .. classes-1; not in Keras.

    Parameters
    ----------
    alpha, gamma, from_logits, label_smoothing
        As in `CategoricalFocalCrossentropy`.
    """

    name = "sparse_categorical_focal_crossentropy"
