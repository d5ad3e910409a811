"""The loss curve of an estimator as a picture, in the style of scikit-learn's displays."""

from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from fastnn.plotting.history import plot_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


class LossCurveDisplay:
    """Loss of training, and of held-out rows where there are any, against the epoch.

    `from_estimator` makes it, and so does the method ``plot_loss_curve`` of the estimators. Needs matplotlib, the
    ``plots`` extra.

    Parameters
    ----------
    loss_curve : sequence of float
        Loss of each epoch.
    validation_loss_curve : sequence of float, optional
        Loss of the held-out rows after each epoch.
    estimator_name : str, optional
        For the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Of training and, if there are any, of held-out rows.

    Examples
    --------
    >>> import fastnn
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]
    >>> model = fastnn.MLPRegressor(n_iter_no_change=300, max_iter=300).fit(X, y)  # doctest: +SKIP
    >>> display = fastnn.LossCurveDisplay.from_estimator(model)  # doctest: +SKIP
    """

    ax_: "Axes"
    figure_: "Figure | SubFigure"

    def __init__(
        self, *, loss_curve: Any, validation_loss_curve: Any = None, estimator_name: str | None = None
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: "Axes | None" = None, name: str | None = None, **kwargs: Any
    ) -> "LossCurveDisplay":
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor, or a Pipeline that ends with one
            fastnn's or scikit-learn's.
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        name : str, optional
            For the legend. Default: none.
        **kwargs
            Properties of the lines, such as ``color`` or ``linewidth``.

        Raises
        ------
        ImportError
            Without matplotlib.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it has no loss curve: the solver 'lbfgs' keeps none.
        """
        estimator = estimator[-1] if hasattr(estimator, "named_steps") else estimator
        check_is_fitted(estimator)
        curve = getattr(estimator, "loss_curve_", None)
        if not curve:
            raise ValueError(f"{estimator!r} has no loss_curve_: only the solvers that work by epochs keep one")
        validation = getattr(estimator, "validation_loss_curve_", None)
        display = cls(loss_curve=curve, validation_loss_curve=validation, estimator_name=name)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: "Axes | None" = None, *, name: str | None = None, **kwargs: Any) -> "LossCurveDisplay":
        """Draw; parameters as in `from_estimator`."""
        curves = {"loss": self.loss_curve}
        if self.validation_loss_curve is not None:
            curves["val_loss"] = self.validation_loss_curve
        name = name or self.estimator_name
        drawn = 0 if ax is None else len(ax.lines)
        self.ax_ = plot_metric({name: curves} if name else curves, ax=ax)
        self.figure_ = self.ax_.figure
        self.lines_ = list(self.ax_.lines[drawn:])
        for line in self.lines_:
            line.set(**kwargs)
        self.ax_.legend(frameon=False)
        return self
