"""How a run goes over its rows: what whoever trains a network decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    Attributes
    ----------
    batch_size : rows of a step; the last step of an epoch takes what is left
    epochs : how many
    shuffle : draw a new order of the rows each epoch, from ``seed`` and the epoch's number alone
    seed : 0 <= seed < 2**64, for the order and for dropout
    first_epoch : number of the first epoch
    order : int64 (n,), the order of the rows where ``shuffle`` is False; it may be changed between epochs, and is
        looked at when one begins
    loss_scale : factor of every row's loss
    loss_limit : the largest that one output adds to a cross-entropy of logits as it is reported, if labels are not
        smoothed; 0 for no limit
    weighted_mean : divide the sums over a batch, of metrics too, by the sum of its weights instead of its rows, and
        weigh the metrics; penalties that are divided by the rows are then divided by that sum as well
    """

    batch_size: int
    epochs: int = 1
    shuffle: bool = False
    seed: int = 0
    first_epoch: int = 0
    order: np.ndarray | None = None
    loss_scale: float = 1.0
    loss_limit: float = 0.0
    weighted_mean: bool = False

    def for_rows(self, rows: int) -> RunOptions:
        """Return them as a run over so many rows takes them, without what makes no difference.

        Raises
        ------
        ValueError
            If there is no row, or a batch has none.
        """
        size = self.batch_size
        if rows < 1 or size < 1:
            raise ValueError(f"a run takes one row at least, and a batch_size >= 1; got {rows} and {size}")
        shuffle = self.shuffle and size < rows  # the order within a batch is of no consequence
        return replace(self, batch_size=min(size, rows), shuffle=shuffle)
