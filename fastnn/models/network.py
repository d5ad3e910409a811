"""A stack of layers: its shapes, its weights and, once they are needed, the engine that holds them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.common import checks
from fastnn.common.arithmetic import heedless
from fastnn.common.identifiers import unknown_name
from fastnn.common.precisions import DTYPES
from fastnn.engine.devices import resolve
from fastnn.engine.turns import Turns
from fastnn.kernels.host.uninterrupted import imported
from fastnn.layers.always_trained import AlwaysTrained
from fastnn.layers.base import Layer
from fastnn.layers.shapes import Shape, row_shape
from fastnn.layers.weights import check_weights

_making = Turns(brief=True)  # an engine: two threads must not make one each for a model


class LayerStack(AlwaysTrained):
    """What a model is, without how its layers were put together and how it is trained.

    A stack is built, that is its weights exist, as soon as the shape of its input is known. Until an engine is needed
    the layers keep their weights themselves; then the engine holds them all in one vector.

    Parameters
    ----------
    name : str
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
        name: str,
        dtype: Any = "float32",
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.name = name
        self.dtype = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        if self.dtype not in DTYPES:
            raise unknown_name("dtype", self.dtype, DTYPES)
        self._device, self._threads = device, threads
        self.metadata = {}
        self._layers: list[Layer] = []
        self._engine: Any = None

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

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Fix the shape of the input and draw the first weights."""
        raise NotImplementedError

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
            factory, lowering = imported("fastnn.engine.factory"), imported("fastnn.lowering.lower")
            if len(self.output_shape) != 2:
                raise ValueError(f"a model gives flat rows, but the output shape is {self.output_shape}: add Flatten()")
            self._row_shape = row_shape(self.input_shape[1:])
            device = resolve(self._device)
            plan = lowering.lower(self.layers, math.prod(self._row_shape), self.dtype, device=device)
            engine = factory.make_engine(plan, self._device, self._threads)
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
        """Return a layer by its name or its index.

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
