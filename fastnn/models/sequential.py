"""Models that are stacks of layers, one on the other."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from fastnn import layers
from fastnn.common import identifiers
from fastnn.common.arithmetic import heedless
from fastnn.common.identifiers import is_own
from fastnn.layers.base import Layer, unchanged_on_failure
from fastnn.layers.shapes import Shape, row_shape
from fastnn.models.model import Model
from fastnn.models.network import LayerStack


class Sequential(Model):
    """A stack of layers that trains on compiled kernels.

    Parameters
    ----------
    layers : iterable of Layer, optional
        More can be added with `add`.
    name : str, default="sequential"
    dtype : {"float32", "float64", "mixed_bfloat16"}, default="float32"
        Precision of weights and arithmetic. With "mixed_bfloat16" products are of bfloat16, twice as fast; their sums
        and everything else, weights too, are float32. That needs an NVIDIA GPU since Ampere, or a CPU with AVX512-BF16
        (Intel since Cooper Lake and Sapphire Rapids, AMD since Zen 4), else a warning is given and float32 used.
    device : {"cpu", "cuda", "auto"}, optional
        Where to compute. "cuda" is an NVIDIA GPU; "auto" is that where there is one that can be used, else the CPU.
        By default what `fastnn.set_device` said, at first "cpu".
    threads : int, optional
        By default one thread for small steps, else the cores this process may use. At most 4 for each core of the
        machine, or 64, are used.

    Attributes
    ----------
    metadata : dict
        Saved with the model: names of features and classes, for instance. It holds what JSON has: None, bools,
        numbers, strings, lists and dicts with strings as keys; `save` refuses the rest and says where it is. Texts of a
        file may have 100 MB in all.

    Notes
    -----
    Copies, pickles and saved files hold configuration, weights, the optimizer's state and how far training has come, so
    that it can go on in them.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
    >>> model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=150, batch_size=10)  # doctest: +SKIP
    """

    def __init__(
        self,
        layers: Iterable[Layer] | Layer | None = None,
        name: str | None = None,
        dtype: Any = "float32",
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__("sequential" if name is None or name == "" else name, dtype, device, threads)
        self._names: set[str] | None = set()  # of the layers, while they are put in one after the other
        self._numbers: dict[str, int] = {}  # by kinds of layers: those below are taken
        given = [layers] if isinstance(layers, (Layer, LayerStack)) else list(layers or [])
        with unchanged_on_failure([layer for layer in given if isinstance(layer, Layer)]):
            for layer in given:
                self.add(layer)
        self._names = None  # they may change

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
        layer = layers.get(layer)
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

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None, **placement: Any
    ) -> Self:
        """Make a model with fresh weights from what `get_config` gave.

        `custom_objects` are classes of the user's by name; `placement` is device and threads.
        """
        about = {"name": config["name"], "dtype": config["dtype"], **placement}
        if not is_own(cls) and not _takes(cls, [], about):
            raise TypeError(f"{cls.__name__} has a constructor of its own: give it a from_config that calls it")
        with identifiers.custom_objects(custom_objects):
            model = cls(config["layers"], **about)
        if config.get("input_shape") is not None:
            model.build(config["input_shape"])
        return model


def _takes(kind: type, layers: list[Any], about: dict[str, Any]) -> bool:
    try:
        inspect.signature(kind).bind(layers, **about)
    except TypeError:
        return False
    return True


def _taken(layer: Layer, here: bool) -> str:
    where = "stands in this model already" if here else "belongs to another model"
    return (
        f"the layer {layer.name!r} {where}, and fastnn cannot share layers: add layer.copy(), a new layer with the "
        "same weights that is trained by itself. To use the weights of another model after its training, "
        "new_layer.set_weights(layer.get_weights()); to train both parts, fit one model of all layers. "
        "other_model.pop() sets its last layer free"
    )
