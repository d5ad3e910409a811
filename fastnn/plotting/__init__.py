"""Pictures of training runs and predictions, drawn with matplotlib.

Needs the ``plots`` extra; without it every function raises ImportError. Nothing is shown on a screen unless the caller
calls ``matplotlib.pyplot.show()``: every function returns what it drew, to be saved, shown or drawn upon.
"""

from fastnn.common import absent
from fastnn.plotting.confusion import plot_confusion_matrix
from fastnn.plotting.figures import COLORS
from fastnn.plotting.history import plot_history, plot_metric
from fastnn.plotting.images import plot_images, plot_misread

__all__ = [
    "COLORS",
    "plot_confusion_matrix",
    "plot_history",
    "plot_images",
    "plot_metric",
    "plot_misread",
]

absent.explain(__name__)
