"""Where pictures are drawn: matplotlib, which is an extra, figures of it, and colors."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colors, distinguishable with every common kind of color blindness (jfly.uni-koeln.de/color),
# ordered so that the first ones differ in lightness too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


def pyplot() -> ModuleType:
    """Return ``matplotlib.pyplot``.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "drawing needs matplotlib, which comes with the \"plots\" extra: pip install -e '.[plots]' in the checkout"
        ) from error
    return pyplot


def panels(rows: int, columns: int, size: tuple[float, float]) -> Any:
    """Return a new figure, which a notebook shows once, and its axes (rows, columns)."""
    plt = pyplot()
    from fastnn.plotting.notebook import ShownOnce

    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, FigureClass=ShownOnce)


def axes(ax: "Axes | None", size: tuple[float, float] = (5.2, 3.9)) -> "Axes":
    """Return the given axes, or those of a new figure."""
    return panels(1, 1, size)[1][0, 0] if ax is None else ax
