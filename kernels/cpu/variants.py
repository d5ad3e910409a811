"""Normalizations in training and prediction: twins of functions of ``step_cpu.py`` and ``infer_cpu.py``.

Programs of other networks are smaller and sooner compiled without them.
"""

from __future__ import annotations

from . import infer_cpu, step_cpu
from .normalization_cpu import normalise_backward_share, normalise_block, normalise_forward_share

TWINS = {
    step_cpu.normalise_forward: normalise_forward_share,
    step_cpu.normalise_backward: normalise_backward_share,
    infer_cpu.normalise: normalise_block,
}
