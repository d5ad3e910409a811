"""Arguments of Keras that fastnn lacks: taken at the values that mean nothing, refused by name at all others.

The table stands here alone; `Declared` wraps constructors and methods by it, so that signatures hold only what works.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from fastnn.common.identifiers import old_spelling

_LAYER = {"activity_regularizer": None, "autocast": True, "dtype": None, "trainable": True}
_NORMALIZATION = _LAYER | dict.fromkeys(
    ("beta_constraint", "beta_regularizer", "gamma_constraint", "gamma_regularizer")
)
_LOSS = {"dtype": None, "name": None, "reduction": "sum_over_batch_size"}
_OPTIMIZER = {
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
    "loss_scale_factor": None,
    "name": None,
    "use_ema": False,
}
_INITIALIZER = {"input_axes": None, "output_axes": None}
_BATCHES = {"steps_per_epoch": None, "validation_batch_size": None, "validation_freq": 1, "validation_steps": None}

LACKING: Mapping[str, Mapping[str, Any]] = {  # class, method or function -> argument: the value that means nothing
    "Layer": _LAYER,
    "Weighted": dict.fromkeys(
        ("bias_constraint", "bias_regularizer", "kernel_constraint", "lora_alpha", "lora_rank", "quantization_config")
    ),
    "DepthwiseConv2D": {"depthwise_constraint": None},
    "SeparableConv2D": {"depthwise_constraint": None, "pointwise_constraint": None},
    "Dropout": {"noise_shape": None},
    "Flatten": {"data_format": None},
    "Input": {
        "batch_shape": None,
        "batch_size": None,
        "dtype": None,
        "optional": False,
        "ragged": None,
        "sparse": None,
        "tensor": None,
    },
    "Normalization": {"invert": False},
    "BatchNormalization": _NORMALIZATION
    | {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "synchronized": False},
    "LayerNormalization": _NORMALIZATION,
    "Loss": _LOSS,
    "Crossentropy": {"axis": -1},
    "SparseCategoricalCrossentropy": {"ignore_class": None},
    "Optimizer": _OPTIMIZER,
    "Adam": {"amsgrad": False},
    "RMSprop": {"centered": False},
    "LearningRateSchedule": {"name": None},
    "VarianceScaling": _INITIALIZER,
    "LayerStack": {"trainable": True},
    "add": {"rebuild": True},
    "pop": {"rebuild": True},
    "compile": {
        "auto_scale_loss": True,
        "loss_weights": None,
        "run_eagerly": False,
        "steps_per_execution": 1,
        "weighted_metrics": None,
    },
    "fit": _BATCHES,
    "evaluate": {"steps": None},
    "predict": {"steps": None},
    "save": {"zipped": None},
    "summary": {"expand_nested": False, "layer_range": None, "positions": None, "show_trainable": False},
    "load_model": {"safe_mode": True},
    "Activation.__call__": {"approximate": False, "axis": -1, "max_value": None, "threshold": 0.0},
    "loss function": {"axis": -1, "ignore_class": None},
}
_NAMES = {  # what Keras calls these by default
    "huber": "huber_loss",
    "PiecewiseConstantDecay": "PiecewiseConstant",
    "CosineDecayRestarts": "SGDRDecay",
}
_RENAMED = {
    "Weighted": {"bias": "use_bias", "init": "kernel_initializer"},
    "Dense": {"output_dim": "units"},
    "PictureLayer": {"dim_ordering": "data_format"},
    "WindowLayer": {"border_mode": "padding"},
    "ConvolutionLayer": {"nb_filter": "filters", "subsample": "strides"},
    "Conv1D": {"filter_length": "kernel_size", "subsample_length": "strides"},
    "MaxPooling1D": {"pool_length": "pool_size", "stride": "strides"},
    "AveragePooling1D": {"pool_length": "pool_size", "stride": "strides"},
    "Optimizer": {"lr": "learning_rate"},
    "fit": {"nb_epoch": "epochs"},
}
_OF_KERAS_1 = {"bias", "border_mode", "dim_ordering", "init", "nb_filter", "subsample"}  # arguments of convolutions
_SIDES = ("nb_row", "nb_col")  # in Keras 1, of what is ``kernel_size`` now
_ADVICE = {
    "activity_regularizer": "kernel_regularizer is there",
    "batch_shape": "give the shape of one row: Input((8,))",
    "bias_regularizer": "kernel_regularizer is there",
    "dtype": "the model has one dtype for all: Sequential(layers, dtype=...)",
    "loss_weights": "a model has one output; sample_weight weighs rows",
    "name": "metrics, layers and models have names",
    "reduction": "losses average over the rows; call the function of the same name for the losses of single rows",
    "steps": "data are taken whole, pass the rows that are wanted",
    "steps_per_epoch": "an epoch takes all rows once, pass the rows that are wanted",
    "trainable": "all layers are trained",
    "validation_steps": "all validation data are used, pass the rows that are wanted",
    "weighted_metrics": "metrics are means over the rows; pass them as metrics",
}


def accepting(function: Callable[..., Any], *owners: str) -> Any:
    """Wrap a function to take what Keras' takes.

    Arguments that `LACKING` has for one of the `owners`, or for a class that a constructor makes, are accepted at the
    value that means nothing, old spellings warn, and what does not fit is a TypeError in the user's words.
    """
    code = inspect.unwrap(function).__code__
    known = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    passes_on = bool(code.co_flags & inspect.CO_VARKEYWORDS)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = _with_pairs(args, kwargs)
        if not known.issuperset(kwargs):
            others = {name: kwargs.pop(name) for name in list(kwargs) if name not in known}
            for name, value in accept(function, args, others, owners, passes_on).items():
                if name in kwargs:
                    raise TypeError(f"{_caller(function, args)}: an old spelling and {name!r} are the same; give one")
                kwargs[name] = value
        try:
            return function(*args, **kwargs)
        except TypeError:
            try:
                inspect.signature(function).bind(*args, **kwargs)
            except TypeError as misfit:
                hint = "; give arguments by name" if "too many positional" in str(misfit) else ""
                raise TypeError(f"{_caller(function, args)}: {misfit}{hint}") from None
            raise

    return call


def accept(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    others: dict[str, Any],
    owners: Sequence[str] = (),
    passes_on: bool = False,
) -> dict[str, Any]:
    """Return what is left of keyword arguments that are not in a function's signature, under their new names.

    Parameters
    ----------
    function, args
        What is called.
    others : dict
    owners : sequence of str
        As in `accepting`.
    passes_on : bool, default=False
        Whether the function hands unknown ones to another that checks them; else they are refused.
    """
    where = owners or [kind.__name__ for kind in type(args[0]).__mro__]
    renamed = {old: new for owner in where for old, new in _RENAMED.get(owner, {}).items()}
    lacking = {name: value for owner in where for name, value in LACKING.get(owner, {}).items()}
    left = {}
    if "ConvolutionLayer" in where and others.keys() >= set(_SIDES):
        old_spelling(", ".join(_SIDES), "kernel_size")
        left["kernel_size"] = tuple(others.pop(side) for side in _SIDES)
    for name, value in others.items():
        if name in renamed:
            old_spelling(name, renamed[name])
            left[renamed[name]] = value
        elif name in lacking:
            _need_default(function, args, name, value, lacking[name])
        elif passes_on:
            left[name] = value
        else:
            _refuse(function, args, name)
    return left


def _with_pairs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Join the two sides of a kernel where they are given by position, as in Keras 1.

    ``Convolution2D(32, 3, 3)`` has a kernel of 3 x 3; so has ``Conv2D(32, 3, 3)`` with an argument of Keras 1, while
    without one it has strides of 3.
    """
    if len(args) < 4 or not all(type(side) is int for side in args[2:4]):
        return args
    kinds = [kind.__name__ for kind in type(args[0]).__mro__]
    if kinds[0] != "Convolution2D" and not ({"Conv2D", "SeparableConv2D"} & set(kinds) and _OF_KERAS_1 & set(kwargs)):
        return args
    old_spelling("kernel height, kernel width", "kernel_size=(height, width)")
    return (*args[:2], args[2:4], *args[4:])


def _need_default(function: Callable[..., Any], args: tuple[Any, ...], name: str, value: Any, default: Any) -> None:
    if value is default or (type(value) in (bool, int, float, str) and value == default):
        return
    if name == "name" and isinstance(value, str):
        kind = type(args[0])
        own = getattr(kind, "name", kind.__name__)
        if value.lower() in (own, own.lower(), _NAMES.get(own, own), _NAMES.get(own, own).lower()):
            return
    advice = f": {_ADVICE[name]}" if name in _ADVICE else ""
    raise TypeError(f"{_caller(function, args)}: fastnn has no {name}={value!r}; leave it out{advice}")


def _refuse(function: Callable[..., Any], args: tuple[Any, ...], name: str) -> NoReturn:
    functions = [function]
    if function.__name__ == "__init__":  # a derived class passes arguments on
        makers = [vars(kind)["__init__"] for kind in type(args[0]).__mro__[:-1] if "__init__" in vars(kind)]
        functions = makers[: [inspect.unwrap(maker) for maker in makers].index(inspect.unwrap(function)) + 1]
    parameters = [parameter for each in functions for parameter in inspect.signature(each).parameters.values()]
    names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name != "self"]
    names = list(dict.fromkeys(names))
    near = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(names) or 'none'}"
    raise TypeError(f"{_caller(function, args)} has no argument {name!r}; {hint}")


def _caller(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """What the user called: a class, a method of the class that it was called on, or a function."""
    if function.__name__ == "__init__":
        return f"{type(args[0]).__name__}()"
    return (
        f"{type(args[0]).__name__}.{function.__name__}()" if "." in function.__qualname__ else f"{function.__name__}()"
    )
