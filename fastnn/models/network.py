"""A stack of layers: its shapes, its weights and, once they are needed, the engine that holds them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnn import layers as layer_kinds
from fastnn.common import checks
from fastnn.common.arithmetic import heedless
from fastnn.common.identifiers import unknown_name
from fastnn.engine.turns import Turns
from fastnn.kernels.host.uninterrupted import imported
from fastnn.layers.always_trained import AlwaysTrained
from fastnn.layers.base import Layer, unchanged_on_failure
from fastnn.layers.shapes import Shape, row_shape
from fastnn.layers.weights import check_weights

_making = Turns(brief=True)  # an engine: two threads must not make one each for a model
_DTYPES = ("float32", "float64", "mixed_bfloat16")


class LayerStack(AlwaysTrained):
    """What a model is, without how it is trained.

    A stack is built, that is its weights exist, as soon as the shape of its input is known. Until an engine is needed
    the layers keep their weights themselves; then the engine holds them all in one vector.

    Parameters
    ----------
    layers : iterable of Layer, optional
    name : str, default="sequential"
    dtype : {"float32", "float64", "mixed_bfloat16"}, default="float32"
    device : {"cpu", "cuda", "auto"}, optional
        Where to compute. "cuda" is an NVIDIA GPU; "auto" is that where there is one that can be used, else the CPU.
        By default what `fastnn.set_device` said, at first "cpu".
    threads : int, optional
        By default one thread for small steps, else the cores this process may use. At most 4 for each core of the
        machine, or 64, are used.
    """

    def __init__(
        self,
        layers: Iterable[Layer] | Layer | None = None,
        name: str | None = None,
        dtype: Any = "float32",
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.name = "sequential" if name in (None, "") else name
        self.dtype = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        if self.dtype not in _DTYPES:
            raise unknown_name("dtype", self.dtype, _DTYPES)
        self._device, self._threads = device, threads
        self.metadata = {}
        self._layers: list[Layer] = []
        self._names: set[str] | None = set()  # of the layers, while they are put in one after the other
        self._numbers: dict[str, int] = {}  # by kinds of layers: those below are taken
        self._engine: Any = None
        given = [layers] if isinstance(layers, (Layer, LayerStack)) else list(layers or [])
        with unchanged_on_failure([layer for layer in given if isinstance(layer, Layer)]):
            for layer in given:
                self.add(layer)
        self._names = None  # they may change

    @classmethod
    def _guards(cls, name: str) -> bool:
        return name == "dtype"

    def _change(self, name: str, value: Any) -> Any:
        if name == "dtype":
            raise AttributeError(f"the dtype of a model cannot be changed: make one with dtype={value!r}")
        return value

    @property
    def name(self) -> str:
        """Name in summaries and files."""
        return vars(self)["name"]

    @name.setter
    def name(self, value: str) -> None:
        vars(self)["name"] = checks.text("name", value)

    @property
    def metadata(self) -> dict[str, Any]:
        """Anything that JSON can hold, saved with the model."""
        return vars(self)["metadata"]

    @metadata.setter
    def metadata(self, value: dict[str, Any]) -> None:
        if not isinstance(value, dict):
            raise TypeError(f"metadata must be a dict, {{}} for none; got one of type {type(value).__name__}")
        vars(self)["metadata"] = value

    def every_layer(self) -> list[Layer]:
        """Return the layers in order, with `Input`."""
        return self._layers

    @property
    def layers(self) -> list[Layer]:
        """The layers that compute something, in order."""
        return self._layers[bool(self._layers) and self._layers[0].kind == "input" :]

    @property
    def built(self) -> bool:
        """Whether the shapes are known and the weights exist."""
        return bool(self.layers) and self.layers[-1].built

    @property
    def input_shape(self) -> Shape:
        """Shape of the input, with None for the rows."""
        self._need_built()
        return self._layers[0].input_shape  # type: ignore[return-value]

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, with None for the rows."""
        self._need_built()
        return self._layers[-1].output_shape

    def add(self, layer: Layer) -> None:
        """Put a layer on top.

        Raises
        ------
        TypeError
            If it is no layer.
        ValueError
            If it belongs to a model already, this one or another; if its name is taken, or it does not fit the output
            of the layer below.
        """
        if isinstance(layer, LayerStack):
            raise TypeError(
                f"a model cannot be a layer of another one: add copies of its layers, "
                f"Sequential([layer.copy() for layer in {layer.name}.layers])"
            )
        layer = layer_kinds.get(layer)
        if layer.kind == "input" and self._layers:
            raise ValueError("Input stands first in a model; this one already has layers")
        if layer.in_model and layer.kind == "input":  # says a shape and has nothing that could be shared
            layer = layer.copy()
        if layer.in_model:
            raise ValueError(_taken(layer, any(layer is mine for mine in self._layers)))
        with unchanged_on_failure([layer]):
            self._fit_in(layer)
            self._release_engine()
        layer.enter(self)
        self._layers.append(layer)
        if self._names is not None:
            self._names.add(layer.name)

    def _fit_in(self, layer: Layer) -> None:
        """Give a new layer its name and, where it is known, its shape."""
        names = {other.name for other in self._layers} if self._names is None else self._names
        if layer.name in names:
            if not layer.auto_named:
                raise ValueError(f"the name {layer.name!r} is taken by another layer of this model")
            self._numbers[layer.kind] = layer.number(names, self._numbers.get(layer.kind, 1))
        shape = layer.input_shape or layer.declared_shape
        if self._layers:
            shape = self._layers[-1].output_shape if self._layers[-1].built else None
        if shape is None:
            layer.forget_shape()  # it is known when those below are built
        elif layer.built and layer.weight_shapes and layer.input_shape != shape:
            raise ValueError(
                f"the layer {layer.name!r} has weights for inputs of shape {layer.input_shape}, and would get {shape}: "
                "make a new layer"
            )
        else:
            layer.build(shape, self.variable_dtype)

    def pop(self) -> Layer:
        """Take the topmost layer off and return it."""
        if not self.layers:
            raise ValueError("there are no layers in the model")
        self._release_engine()
        layer = self._layers.pop()
        self._numbers.clear()
        layer.leave()
        return layer

    @heedless
    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Fix the shape of the input, such as (None, 8), and draw the first weights.

        Raises
        ------
        ValueError
            If there are no layers, no shape, or another shape than before.
        """
        if not self.layers:
            raise ValueError("the model has no layers yet; add some first")
        if self.built:
            if input_shape is not None and tuple(input_shape)[1:] != self.input_shape[1:]:
                raise ValueError(f"the model is built for the shape {self.input_shape}; got {tuple(input_shape)}")
            return
        if input_shape is None or len(input_shape) < 2:
            raise ValueError(f"input_shape must have rows and their shape, such as (None, 8); got {input_shape!r}")
        shape: Shape = (None, *row_shape(tuple(input_shape)[1:]))
        for layer in self._layers:
            layer.build(shape, self.variable_dtype)
            shape = layer.output_shape

    @property
    def engine(self) -> Any:
        """The lowered model on its device, made when it is first needed."""
        if self._engine is None:
            with _making():
                self._make_engine()
        return self._engine

    def _make_engine(self) -> None:
        if self._engine is None:
            self._need_built()
            backend, lowering = imported("fastnn.engine.engine"), imported("fastnn.lowering.plan")
            if len(self.output_shape) != 2:
                raise ValueError(f"a model gives flat rows, but the output shape is {self.output_shape}: add Flatten()")
            self._row_shape = row_shape(self.input_shape[1:])
            device = backend.resolve(self._device)
            plan = lowering.lower(self.layers, math.prod(self._row_shape), self.dtype, device=device)
            engine = backend.make_engine(plan, self._device, self._threads)
            engine.set_weights(self.get_weights())
            self._prepare_engine(engine)
            self._bind_layers(engine)
            attributes = vars(self)
            if attributes["_engine"] is None:
                attributes["_engine"] = engine
            else:  # a handler of a signal has made one meanwhile, and may have trained it
                self._bind_layers(attributes["_engine"])

    def _bind_layers(self, engine: Any) -> None:
        first = 0
        for layer in self.layers:
            layer.bind(engine, first)
            first += len(layer.weight_shapes)

    def _prepare_engine(self, engine: Any) -> None:
        """Prepare a new engine; for models that train."""

    def _release_engine(self) -> None:
        if self._engine is not None:
            for layer in self.layers:
                layer.release()
            self._engine = None

    def _need_built(self) -> None:
        if not self.built:
            raise ValueError(
                "the shape of the input is not known yet: put Input((8,)) or input_shape=(8,) first, "
                "call build((None, 8)), or fit the model"
            )

    @property
    def variable_dtype(self) -> str:
        """Type of the weights: float32 also where only products are of bfloat16."""
        return "float64" if self.dtype == "float64" else "float32"

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all weights, layer by layer; of Dense kernel (inputs, units) and bias (units,)."""
        if self._engine is not None:
            return self._engine.get_weights()
        return [weight for layer in self.layers for weight in layer.get_weights()]

    @heedless
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights; see `get_weights`.

        Raises
        ------
        ValueError
            If the number of arrays or a shape differs; the model is then as it was.
        """
        self._need_built()
        values = check_weights(weights, list(self.weight_shapes().items()))
        if self._engine is not None:
            self._engine.set_weights([value.astype(self.variable_dtype) for value in values])
            return
        for layer in self.layers:
            layer.set_weights([values.pop(0) for _ in layer.weight_shapes])

    @property
    def weights(self) -> list[np.ndarray]:
        """The same as `get_weights`."""
        return self.get_weights()

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights under names such as ``dense/kernel``, in the order of `get_weights`."""
        return {f"{layer.name}/{name}": shape for layer in self.layers for name, shape in layer.weight_shapes.items()}

    @property
    def trainable_weights(self) -> list[np.ndarray]:
        """Copies of the weights that are trained."""
        return [weight for layer in self.layers for weight in layer.trainable_weights]

    @property
    def non_trainable_weights(self) -> list[np.ndarray]:
        """Copies of the weights that are not trained, such as the moving averages of `BatchNormalization`."""
        return [weight for layer in self.layers for weight in layer.non_trainable_weights]

    def count_params(self) -> int:
        """Count the weights."""
        self._need_built()
        return sum(layer.count_params() for layer in self.layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place.

        Raises
        ------
        ValueError
            If there is no such layer, or not exactly one of the two is given.
        """
        if (name is None) == (index is None):
            raise ValueError("give either the name or the index of a layer")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"there is no layer {index}: the model has {len(self.layers)} layers")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown_name("layer", name, [layer.name for layer in self.layers])


def _taken(layer: Layer, here: bool) -> str:
    where = "stands in this model already" if here else "belongs to another model"
    return (
        f"the layer {layer.name!r} {where}, and fastnn cannot share layers: add layer.copy(), a new layer with the "
        "same weights that is trained by itself. To use the weights of another model after its training, "
        "new_layer.set_weights(layer.get_weights()); to train both parts, fit one model of all layers. "
        "other_model.pop() sets its last layer free"
    )
