"""Modules under the names that they had: pickles name the module of each class."""

from __future__ import annotations

import importlib
from importlib.machinery import ModuleSpec
from types import ModuleType

NEW_NAMES = {
    "fastnn.callback_base": "fastnn.callbacks.base",
    "fastnn.checkpoints": "fastnn.callbacks.checkpoints",
    "fastnn.crossentropies": "fastnn.losses.crossentropy",
    "fastnn.estimator_classifier": "fastnn.estimators.classifier",
    "fastnn.estimator_regressor": "fastnn.estimators.regressor",
    "fastnn.loss_curve": "fastnn.plotting.loss_curve",
    "fastnn.normalization": "fastnn.layers",
    "fastnn.perceptron": "fastnn.estimators.perceptron",
    "fastnn.record": "fastnn.engine.training_record",
    "fastnn.saving": "fastnn.models.model_file",
}


class OldModules:
    """Finder of `sys.meta_path`, and loader, for modules of the old names; they hand on what the new ones have."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, OldModules) if name in NEW_NAMES else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None  # an empty one

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        new = importlib.import_module(NEW_NAMES[module.__name__])
        module.__getattr__ = lambda name: getattr(new, name)  # type: ignore[method-assign]
