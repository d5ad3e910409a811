"""What a stack of layers says of itself: its summary, and its configuration as plain values."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.common.identifiers import serialize
from fastnn.models.network import LayerStack
from fastnn.models.summary import html_summary, print_summary


class DescribedStack(LayerStack):
    """A stack of layers that can be printed, and made anew from its configuration."""

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print a table of the layers with their output shapes and numbers of weights.

        Parameters
        ----------
        line_length : int, optional
            Width in columns, by default that of the terminal, at most 88.
        print_fn : callable, optional
            Called with the text instead of printing it.
        """
        print_summary(
            self.name,
            self.layers,
            self._counts(),
            np.dtype(self.variable_dtype).itemsize,
            line_length=line_length,
            print_fn=print_fn,
        )

    def _counts(self) -> dict[str, int]:
        count = sum(layer.count_params() for layer in self.layers)
        trained, extra = self._trainable_params(), self._optimizer_params()
        counts = {"Total params": count + extra, "Trainable params": trained, "Non-trainable params": count - trained}
        return counts | ({"Optimizer params": extra} if extra else {})

    def __repr__(self) -> str:
        parts = [type(layer).__name__ + (f" {layer.output_shape}" if layer.built else "") for layer in self.layers]
        if self.built:
            parts.insert(0, str(self.input_shape))
        return f"<{type(self).__name__} {self.name!r}: {' -> '.join(parts) or 'no layers'}; {', '.join(self._state())}>"

    def _state(self) -> list[str]:
        return ["built" if self.built else "not built"]

    def _repr_html_(self) -> str:
        """Return the summary for notebooks."""
        return html_summary(self.name, self.layers, self._counts(), np.dtype(self.variable_dtype).itemsize)

    def _trainable_params(self) -> int:
        return sum(layer.count_trainable_params() for layer in self.layers)

    def _optimizer_params(self) -> int:
        return 0

    def get_config(self) -> dict[str, Any]:
        """Return name, dtype, layers and, if known, the input shape, all as plain values."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "layers": [serialize(layer) for layer in self._layers],
            "input_shape": list(self.input_shape) if self.built else None,
        }

    def to_json(self) -> str:
        """Return the configuration as JSON."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()})
