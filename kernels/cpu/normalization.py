"""Normalizations in training and prediction: twins of functions of ``cpu/step.py`` and ``cpu/inference.py``.

Programs of other networks are smaller and sooner compiled without them.
"""

from __future__ import annotations

from ..operations.normalization import normalize_backward_share, normalize_block, normalize_forward_share
from . import inference
from . import step as step_cpu

TWINS = {
    step_cpu.normalize_forward: normalize_forward_share,
    step_cpu.normalize_backward: normalize_backward_share,
    inference.normalize: normalize_block,
}
