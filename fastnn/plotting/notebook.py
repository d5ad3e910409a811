"""Figures that a notebook shows once."""

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure


class ShownOnce(Figure):
    """A figure of pyplot that is shown once where it is the last value of a notebook's cell.

    The inline backend shows all open figures at the end of a cell, and IPython the value of its last line besides.
    """

    def _ipython_display_(self) -> None:
        """Leave the open figures of the inline backend, and let IPython show this one as any other."""
        if "inline" in matplotlib.get_backend():
            pyplot.close(self)
        raise NotImplementedError("shown as other figures are")  # IPython then takes its own way
