"""Labels of a classifier: what is accepted, what the loss is given, and the weights of classes."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels


class Labels(NamedTuple):
    """Checked labels."""

    multilabel: bool  # whether a row may have several
    y: np.ndarray  # (n,), or (n, classes) of 0 and 1
    classes: np.ndarray  # that occur, in order
    sparse: bool = False  # whether they came as a sparse matrix


class LabelTargets:
    """Reads and encodes the labels of the classifier that this is mixed into."""

    class_weight: Any
    warm_start: bool
    classes_: np.ndarray
    n_outputs_: int
    out_activation_: str
    _multilabel: bool
    _sparse_labels = False  # whether predictions are a sparse matrix, as the labels were

    def _read_targets(self, y: Any, name: str) -> Labels:
        if y.ndim == 1 and y.dtype.kind in "biuU" and y.dtype.isnative:  # one label a row, without doubt
            classes = np.unique(y)
            return Labels(False, y, np.array(classes.tolist()) if y.dtype.kind == "U" else classes)  # as wide as needed
        kind = type_of_target(y, input_name=name)
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            check_classification_targets(y)
        if kind == "multiclass-multioutput":
            raise ValueError("Multioutput target data is not supported with label binarization")
        if kind == "multilabel-indicator":
            sparse = issparse(y)
            return Labels(True, y.toarray() if sparse else y, np.arange(y.shape[1]), sparse)
        y = column_or_1d(y, warn=True)
        return Labels(False, y, unique_labels(y))

    def _learn_targets(self, targets: Labels, fresh: bool, incremental: bool) -> None:
        multilabel, classes = targets.multilabel, targets.classes
        if fresh:
            self._multilabel, self._sparse_labels = multilabel, targets.sparse
            if not incremental:
                self.classes_ = classes
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        softmax = len(self.classes_) > 2 and not self._multilabel
        self.n_outputs_ = len(self.classes_) if softmax or multilabel else 1
        self.out_activation_ = "softmax" if softmax else "logistic"

    def _encode(self, targets: Labels, name: str) -> np.ndarray:
        multilabel, y, classes, _ = targets
        if multilabel != self._multilabel or (multilabel and y.shape[1] != len(self.classes_)):
            raise ValueError(
                f"{name} of shape {y.shape} has another kind of labels than this model, which knows {self.classes_}"
            )
        if classes is not self.classes_ and len(np.setdiff1d(classes, self.classes_)):
            raise ValueError(
                f"`{name}` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'{name}' has {classes}."
            )
        return y != 0 if multilabel else np.searchsorted(self.classes_, y)[:, np.newaxis]

    def _class_weights(self, targets: Labels, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' cannot be used with partial_fit, which sees only a part of the rows: give a "
                "dict, from sklearn.utils.class_weight.compute_class_weight over all rows for instance"
            )
        if isinstance(self.class_weight, list) and not targets.multilabel:
            raise ValueError("class_weight must be a dict or 'balanced', as each row has one label; got a list")
        weights = self._weights_by_label(targets)
        if weights.min() < 0:
            raise ValueError(f"class_weight must hold weights >= 0; got {self.class_weight!r}")
        return weights

    def _weights_by_label(self, targets: Labels) -> np.ndarray:
        """Weight of each row; a dict is read by scikit-learn's rule, for all classes that the model knows.

        Labels that it does not name weigh 1. It may name others too, unless it leaves one out that there is.
        """
        if targets.multilabel or not isinstance(self.class_weight, dict):
            return compute_sample_weight(self.class_weight, targets.y)
        known = self.classes_.tolist()
        unknown, unnamed = set(self.class_weight).difference(known), set(known).difference(self.class_weight)
        if unknown and unnamed:
            raise ValueError(
                f"class_weight names {sorted(unknown, key=str)}, which are none of the classes {known}, and does not "
                f"name {sorted(unnamed, key=str)}"
            )
        of_classes = np.array([float(self.class_weight.get(label, 1.0)) for label in known])
        return of_classes[np.searchsorted(self.classes_, targets.y)]
