"""What users derive from: overrides that would never be called are refused when the class is made."""

import inspect
from dataclasses import dataclass
from typing import Any, Self

from fastnn.common.attributes import Strict
from fastnn.common.identifiers import is_own
from fastnn.common.keras_arguments import accepting


@dataclass(frozen=True)
class _Rules:
    """What a class that is derived from one of fastnn's may define.

    Attributes
    ----------
    what : str
        What it is, in the plural.
    advice : str
        What fastnn has instead of a method that it would not call.
    called : str
        Names of fastnn's class that may be overridden, as they are called; further ones that begin with "__" may.
    never : str
        Names that libraries with this kind of class call, and fastnn does not.
    """

    what: str
    advice: str
    called: str = ""
    never: str = ""


_CALLS = "call __call__ forward"
_WEIGHTS = "add_loss add_metric add_variable add_weight build_from_config get_build_config load_own_variables"
_WEIGHTS += " save_own_variables stateless_call symbolic_call quantized_call compute_mask compute_output_spec"
_RULES = {
    "Layer": _Rules(
        "layers",
        "put layers of fastnn.layers together, or compute on the arrays before and after the model",
        "get_config from_config copy",
        f"{_CALLS} {_WEIGHTS} build compute_output_shape",
    ),
    "LayerStack": _Rules(
        "models",
        "fit, evaluate and predict may be overridden, callbacks see epochs and batches, and train_on_batch does one "
        "step of a loop of your own",
        "add compile count_params evaluate fit from_config get_config get_layer get_weights history pop predict "
        "predict_on_batch restore save set_weights summary test_on_batch to_json train_on_batch stop_training "
        "jit_compile",
        f"{_CALLS} {_WEIGHTS} build train_step test_step predict_step compute_loss compute_loss_and_updates "
        "compute_metrics compute_output_shape get_metrics_result make_predict_function make_test_function "
        "make_train_function reset_metrics stateless_compute_loss training_step",
    ),
    "Loss": _Rules("losses", "choose one of fastnn.losses", "get_config from_config", f"{_CALLS} fn reduction"),
    "Metric": _Rules(
        "metrics",
        "choose one of fastnn.metrics, or compute it in a callback's on_epoch_end from self.model.predict",
        "get_config from_config direction finish",
        f"{_CALLS} add_variable add_weight fn reset_state reset_states result stateless_reset_state stateless_result "
        "stateless_update_state update_state variables",
    ),
    "Optimizer": _Rules(
        "optimizers",
        "choose one of fastnn.optimizers; a schedule, or a callback, may set the learning rate",
        "get_config from_config",
        "__call__ apply apply_gradients assign assign_add assign_sub build compute_gradients "
        "finalize_variable_values get_updates minimize scale_loss stateless_apply step update_step",
    ),
    "Activation": _Rules("activations", "choose one of fastnn.activations", "get_config from_config", _CALLS),
    "L2": _Rules("regularizers", "choose one of fastnn.regularizers", "get_config from_config", _CALLS),
    "Initializer": _Rules("initializers", "", "__call__ sample get_config from_config"),
    "LearningRateSchedule": _Rules("schedules", "", "__call__ get_config from_config"),
}


_METHODS = (*_RULES["LayerStack"].called.split(), "Activation.__call__")  # that take Keras' arguments
_EMPTY = ("Layer", "Loss", "Metric", "Optimizer")  # bases that compute nothing
_QUICK = ("predict",)  # takes them itself, as a wrapper's fraction of a microsecond counts


class Declared(Strict):
    """Base of all that is declared in Python and computed by compiled programs.

    Classes that users derive may have constructors, attributes and methods of their own. Those of fastnn take Keras'
    arguments, see `keras_arguments`.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if is_own(cls):
            take_arguments(cls)
        else:
            _check(cls)

    def _heed(self, name: str, value: Any) -> None:
        rules = _rules(type(self)) if callable(value) else None
        if rules is not None and name in rules.never.split():
            raise AttributeError(
                f"{name!r} of {type(self).__name__!r} would be ignored, as fastnn's {rules.what} are compiled; "
                f"{rules.advice}"
            )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an object from what `get_config` gave."""
        return cls(**config)


def our_base(cls: type) -> Any:
    """Return the class of fastnn's that a class is, or is derived from."""
    return next(base for base in cls.__mro__ if is_own(base))


def take_arguments(cls: type) -> None:
    """Let the constructor of one of fastnn's classes, and the methods of models, take Keras' arguments."""
    for name, value in list(vars(cls).items()):
        full_name = name if name in _METHODS else f"{cls.__name__}.{name}"
        if name == "__init__":
            setattr(cls, name, accepting(value))
        elif full_name in _METHODS and name not in _QUICK and inspect.isfunction(value):
            setattr(cls, name, accepting(value, full_name))


def _rules(cls: type) -> _Rules | None:
    return next((_RULES[base.__name__] for base in cls.__mro__ if is_own(base) and base.__name__ in _RULES), None)


def _check(cls: type) -> None:
    own, rules = [base for base in cls.__mro__ if is_own(base)], _rules(cls)
    if rules is None:
        return
    if own[0].__name__ in _EMPTY:
        raise TypeError(
            f"class {cls.__name__}: its base {own[0].__name__} computes nothing, and fastnn's {rules.what} are "
            f"compiled; {rules.advice}"
        )
    taken = {name for base in own for name in vars(base)} | set(rules.never.split())
    for base in cls.__mro__:
        for name in vars(base) if not is_own(base) and base is not object else ():
            special = name.startswith("__") and name != "__call__"
            if name in taken and not special and name not in rules.called.split():
                why = (
                    "is a name that fastnn uses itself"
                    if name.startswith("_") and name != "__call__"
                    else "would be ignored"
                )
                raise TypeError(
                    f"class {cls.__name__}: {name!r} {why}, as fastnn's {rules.what} are compiled; {rules.advice} "
                    "(other names are free)"
                )
