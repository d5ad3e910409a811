"""What all layers have in common: a name, shapes, and weights that move to an engine and back."""

import copy
import itertools
import math
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np

from fastnn import initializers
from fastnn.common import checks
from fastnn.common.absent import missing
from fastnn.common.arithmetic import as_the_caller, heedless
from fastnn.common.attributes import arguments, as_the_constructor_takes_it
from fastnn.common.identifiers import is_own
from fastnn.layers.always_trained import AlwaysTrained
from fastnn.layers.shapes import Shape, row_shape
from fastnn.layers.weights import check_weights

# What its class says, and what the layer finds out by itself
_OF_CLASS = ("kind", "statistics", "rank", "window", "paddings", "kernels")
_FOUND = (*_OF_CLASS, "input_shape", "declared_shape", "auto_named", "weight_shapes")


class Layer(AlwaysTrained):
    """Base of the layers.

    Parameters
    ----------
    name : str, optional
        By default the kind of layer, numbered within its model: ``dense``, ``dense_1``, ...
    input_shape : tuple of int, optional
        Shape of one row of the input, for the first layer of a model.
    input_dim : int, optional
        The same for rows that are flat: ``input_dim=8`` means ``input_shape=(8,)``.

    Attributes
    ----------
    input_shape, output_shape : tuple
        With None for the rows; ``input_shape`` is None until the layer is built.
    declared_shape : tuple or None
        Shape of the input as given to the constructor.
    weight_shapes : dict of str to tuple
        Shapes by name, in the order of `get_weights`; empty until the layer is built.
    """

    kind: ClassVar[str]
    statistics: ClassVar[tuple[str, ...]] = ()  # names of the weights that are not trained
    input_shape: Shape | None = None
    _model: weakref.ref[Any] | None = None  # that it belongs to; no layer keeps a model

    def __init__(self, *, name: str | None = None, input_shape: Any = None, input_dim: int | None = None) -> None:
        if input_dim is not None:
            input_shape = (checks.integer("input_dim", input_dim, 1),)
        self.declared_shape: Shape | None = None if input_shape is None else (None, *row_shape(input_shape))
        self.name = self.kind if name is None else name
        self.auto_named = name is None
        self.weight_shapes: dict[str, tuple[int, ...]] = {}
        self._values: list[np.ndarray] = []  # the weights, as long as no engine holds them
        self._expected = False  # whether the weights that are there must fit, instead of being drawn anew
        self._engine: Any = None
        self._first = 0  # position of the first weight of this layer among those of the engine

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if hasattr(type(self), name):  # a property whose getter raised an AttributeError: the same again
                object.__getattribute__(self, name)
            kind = type(self).__name__
            if name.startswith("_"):
                raise AttributeError(f"{kind!r} object has no attribute {name!r}")
            raise AttributeError(missing(kind, name, dir(type(self))))

    @property
    def name(self) -> str:
        """Name within the model, without a "/": files hold the weights under it, and no two layers have the same."""
        return vars(self)["name"]

    @name.setter
    def name(self, value: str) -> None:
        if not isinstance(value, str) or not value or "/" in value:
            raise ValueError(f"name must be a non-empty string without '/'; got {value!r}")
        name, model = checks.text("name", value), None if self._model is None else self._model()
        if model is not None and any(other.name == name for other in model.every_layer() if other is not self):
            raise ValueError(f"the name {name!r} is taken by another layer of this model")
        vars(self)["name"], self.auto_named = name, False

    def number(self, taken: Collection[str], first: int) -> int:
        """Take the first name of its kind that is not taken, from a number on, which is returned."""
        number = next(number for number in itertools.count(first) if f"{self.kind}_{number}" not in taken)
        vars(self)["name"] = f"{self.kind}_{number}"
        return number

    @property
    def in_model(self) -> bool:
        """Whether it belongs to a model."""
        return self._model is not None

    def enter(self, model: Any) -> None:
        """Belong to a model from now on."""
        self._model = weakref.ref(model)

    def leave(self) -> None:
        """Belong to no model any more."""
        self._model = None

    def forget_shape(self) -> None:
        """Wait for another ``build``; weights that then fit are kept."""
        self.input_shape = None

    @classmethod
    def _guards(cls, name: str) -> bool:
        return name != "name" and (name in arguments(cls) or name in _FOUND)

    def _change(self, name: str, value: Any) -> Any:
        if name in _FOUND:
            raise AttributeError(
                f"{name} of the layer {self.name!r} cannot be set, it follows from its arguments: make a new layer"
            )
        if name not in self.get_config():
            return value
        if self._engine is not None:
            raise AttributeError(
                f"the layer {self.name!r} is at work, its {name} cannot be changed any more: make a new layer "
                "with the one wanted, and give it the weights of this one"
            )
        other = as_the_constructor_takes_it(self, name, value)
        if self.input_shape is not None and (
            other.compute_output_shape(self.input_shape) != self.output_shape
            or other._shapes_of_weights(self.input_shape) != self.weight_shapes
        ):
            raise AttributeError(
                f"the layer {self.name!r} has its weights, which do not fit {name}={value!r}: make a new layer"
            )
        return getattr(other, name)

    @property
    def built(self) -> bool:
        """Whether the shapes are known and the weights exist."""
        return self.input_shape is not None

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, with None for the rows."""
        if self.input_shape is None:
            raise AttributeError(f"the layer {self.name!r} has no output_shape yet: its input shape is not known")
        return self.compute_output_shape(self.input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output for a shape of the input, both with None for the rows."""
        return input_shape

    @heedless
    def build(self, input_shape: Shape, dtype: Any = "float32") -> None:
        """Fix the input shape and draw the first weights; weights of the right shapes are kept."""
        self.compute_output_shape(input_shape)
        self.input_shape = input_shape
        shapes = self._shapes_of_weights(input_shape)
        if self._expected:
            for name, shape in shapes.items():
                if self.weight_shapes.get(name) != shape:
                    given = self.weight_shapes.get(name, "none")
                    raise ValueError(f"the weight {self.name}/{name} has the shape {shape}; got {given}")
            values = dict(zip(self.weight_shapes, self._values, strict=True))
            self._values = [values[name].astype(dtype) for name in shapes]
        elif shapes == self.weight_shapes:
            self._values = [value.astype(dtype) for value in self._values]
        else:
            self._values = [self._first_values(name, shape, dtype) for name, shape in shapes.items()]
        self.weight_shapes, self._expected = shapes, False

    def expect(self, tensors: Mapping[str, np.ndarray] | None) -> None:
        """Take these weights, by name; ``build`` then checks them and draws none. None ends that."""
        self._expected = tensors is not None
        if tensors is None:
            return
        self._values = list(tensors.values())
        self.weight_shapes = {name: value.shape for name, value in tensors.items()}

    def _shapes_of_weights(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        return {}

    def _first_values(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        initializer = self._initializer(name)
        draw = initializer if is_own(type(initializer)) else as_the_caller(initializer)
        values = np.asarray(draw(shape, dtype))
        if values.shape != shape or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise ValueError(
                f"{type(initializer).__name__} must give finite real numbers of the shape {shape} for "
                f"{self.name}/{name}; got {values.dtype} of shape {values.shape}"
            )
        return np.array(values, dtype, order="C")

    def _initializer(self, weight: str) -> initializers.Initializer:
        raise NotImplementedError

    def count_params(self) -> int:
        """Count the weights."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())

    def count_trainable_params(self) -> int:
        """Count the weights that are trained."""
        return self.count_params() - sum(math.prod(self.weight_shapes.get(name, (0,))) for name in self.statistics)

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the weights; for Dense the kernel (inputs, units) and the bias (units,)."""
        if self._engine is None:
            return [value.copy() for value in self._values]
        return self._engine.get_weights(slice(self._first, self._first + len(self.weight_shapes)))

    @heedless
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace the weights.

        Raises
        ------
        ValueError
            If the number of arrays or a shape differs from that of `get_weights`.
        """
        values = check_weights(weights, [(f"{self.name}/{name}", s) for name, s in self.weight_shapes.items()])
        if self._engine is None:
            self._values = [value.astype(old.dtype) for value, old in zip(values, self._values, strict=True)]
        else:
            self._engine.set_weights(values, self._first)

    @property
    def weights(self) -> list[np.ndarray]:
        """The same as `get_weights`."""
        return self.get_weights()

    @property
    def trainable_weights(self) -> list[np.ndarray]:
        """Copies of the weights that are trained."""
        return self._chosen_weights(trained=True)

    @property
    def non_trainable_weights(self) -> list[np.ndarray]:
        """Copies of the weights that are not trained."""
        return self._chosen_weights(trained=False)

    def _chosen_weights(self, trained: bool) -> list[np.ndarray]:
        named = zip(self.weight_shapes, self.get_weights(), strict=True)
        return [weight for name, weight in named if (name not in self.statistics) == trained]

    def bind(self, engine: Any, first: int) -> None:
        """Hand the weights over to an engine that already holds copies of them from position `first` on."""
        self._engine, self._first, self._values = engine, first, []

    def release(self) -> None:
        """Take the weights back from the engine."""
        self._values, self._engine = self.get_weights(), None

    def copy(self) -> Self:
        """Return a layer of the same configuration, shape and weights that belongs to no model."""
        return copy.copy(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes of a copy or pickle, which belongs to no model."""
        return vars(self) | {"_values": self.get_weights(), "_engine": None, "_first": 0, "_model": None}

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse what Keras' functional models begin with."""
        raise TypeError(
            f"a layer is not called: fastnn has no functional models, it stacks layers, "
            f"Sequential([Input((8,)), {type(self).__name__}(...), ...]); compile and fit the model, then call that"
        )

    def get_config(self) -> dict[str, Any]:
        """Return arguments that make an equal layer; its input shape belongs to the model."""
        return {"name": self.name}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


@contextmanager
def unchanged_on_failure(layers: Sequence[Layer]) -> Iterator[None]:
    """Bring layers back to what they were if the block raises."""
    before = [dict(vars(layer)) for layer in layers]
    try:
        yield
    except BaseException:
        for layer, attributes in zip(layers, before, strict=True):
            vars(layer).clear()
            vars(layer).update(attributes)
        raise
