"""Normalizations in training and prediction: twins of functions of ``cpu/step.py`` and ``cpu/inference.py``.

Programs of other networks are smaller and sooner compiled without them.
"""

from __future__ import annotations

from ..operations.normalization import normalise_backward_share, normalise_block, normalise_forward_share
from . import inference
from . import step as step_cpu

TWINS = {
    step_cpu.normalise_forward: normalise_forward_share,
    step_cpu.normalise_backward: normalise_backward_share,
    inference.normalise: normalise_block,
}
