"""Fits that go on from the last one: what of the estimator's parameters may have changed in between."""

from typing import Any

import numpy as np

from fastnn.estimators.fitted_network import EngineKeeper

_OF_OPTIMIZER = (
    "solver", "learning_rate", "learning_rate_init", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon",
    "rho", "weight_decay", "clipvalue", "clipnorm", "global_clipnorm",
)  # fmt: skip


class GoingOn(EngineKeeper):
    """Checks that parameters still describe the network that goes on, and lets its optimizer follow them."""

    _drawn_for: tuple[list[int], str] | None = None  # hidden layers and outputs that the last network was drawn for
    _optimizer_made_for: dict[str, Any] | None = None

    def _kind_of_outputs(self) -> str:
        """Say which outputs the parameters ask for."""
        return "outputs of classes"

    def _keep_drawn(self) -> None:
        """Note that the network is what the present parameters ask for."""
        self._normalization = self.normalization
        self._drawn_for = self._hidden_sizes(), self._kind_of_outputs()

    def _check_same_network(self, incremental: bool) -> None:
        """Refuse parameters that ask for another network than the one that goes on.

        Raises
        ------
        ValueError
            With what the network has, and what the parameters say.
        """
        wanted, outputs = self._hidden_sizes(), self._kind_of_outputs()
        present = [np.shape(coef)[1] for coef in self.coefs_[:-1]]
        drawn_sizes, drawn_outputs = self._drawn_for or (present, outputs)
        if wanted not in (present, drawn_sizes):  # else the user has replaced the weights by those of another network
            names = [name for name in ("n_layers", "width") if getattr(self, name) is not None]
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in names or ["hidden_layer_sizes"])
            back = "them back" if names else f"hidden_layer_sizes={tuple(present)}"
            self._refuse(given, f"hidden layers of {present} neurons", back, incremental)
        if self.normalization != self._normalization:
            has = f"normalization={self._normalization!r}"
            self._refuse(f"normalization={self.normalization!r}", has, has, incremental)
        if outputs != drawn_outputs:
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in ("loss", "quantile"))
            self._refuse(given, drawn_outputs, "them back", incremental)

    def _refuse(self, given: str, present: str, back: str, incremental: bool) -> None:
        anew = "call fit, without warm_start, to begin anew" if incremental else "warm_start=False to begin anew"
        raise ValueError(f"{given} cannot go on from a network with {present}: set {back}, or {anew}")

    def _take_optimizer(self, steps_per_epoch: int, goes_on: bool) -> None:
        """Make an optimizer, or go on with the last one and its moments, as the parameters have it now.

        Unlike scikit-learn's, which keeps what it was made with.
        """
        last, made_for = self.__dict__.get("_optimizer"), self._optimizer_made_for
        parameters = {name: getattr(self, name) for name in _OF_OPTIMIZER}
        if goes_on and last is not None and made_for in (None, parameters):
            return
        optimizer, state = self._make_optimizer(steps_per_epoch), self._get_optimizer_state()
        self._forget_engine()
        if goes_on and last is not None and made_for is not None and optimizer.name == last.name:
            if all(made_for[name] == parameters[name] for name in ("learning_rate", "learning_rate_init")):
                optimizer.learning_rate = last.learning_rate if last.schedule is None else last.schedule
            if state is not None:
                self._optimizer_state = state
        self._keep_optimizer(optimizer)

    def _keep_optimizer(self, optimizer: Any) -> None:
        """Take an optimizer for the one that the present parameters ask for."""
        self._optimizer = optimizer
        self._optimizer_made_for = {name: getattr(self, name) for name in _OF_OPTIMIZER}
