"""Fitting, evaluating and predicting, as in Keras."""

from functools import partial
from typing import Any

import numpy as np

from fastnn.callbacks import CallbackList, History
from fastnn.common import checks, seeding
from fastnn.common.arithmetic import heedless, heedless_but_for_callbacks
from fastnn.common.keras_arguments import accept
from fastnn.data import meaning
from fastnn.data.precision import warn_of_lost_digits
from fastnn.data.samples import inputs, split, weigh_classes
from fastnn.engine.run_options import RunOptions
from fastnn.engine.training_record import MOST_EPOCHS
from fastnn.models import conditions, training
from fastnn.models.progress_line import ProgressLine
from fastnn.models.training_setup import CompiledStack


class Model(CompiledStack):
    """What all models do, however their layers are put together: they are fitted, evaluated, and predict."""

    history: History | None = None
    stop_training = False

    @heedless_but_for_callbacks
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = 32,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
    ) -> History:
        """Train the model.

        Parameters
        ----------
        x : array-like of shape (n, ...)
            Inputs: an array of any real dtype, a list, a data frame or anything with ``__array__`` or DLPack. With
            ``device="cuda"`` arrays of CuPy, PyTorch or others that lie on the GPU are read there.
        y : array-like of shape (n,), (n, 1) or (n, outputs)
            Targets; class numbers for ``sparse_categorical_crossentropy``.
        batch_size : int, default=32
            Rows of a step; the last of an epoch may be smaller.
        epochs : int, default=1
            Number of the last epoch; 0 trains nothing. As many as you like, below 2**53, if something ends the fit.
        verbose : {"auto", 0, 1, 2}, default="auto"
            Silent, progress line, or one line an epoch; ``"auto"`` is 1.
        callbacks : list of Callback, optional
        validation_split : float, default=0.0
            Fraction in [0, 1) of the rows, the last ones, that is kept for validation.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
            Used instead of `validation_split`.
        shuffle : bool, default=True
            New order of the rows in every epoch.
        class_weight : dict of int to float, optional
            Weight of the rows of each class. Each row must belong to one class: of soft labels it is the nearest.
        sample_weight : array-like of shape (n,), optional
            Weight of each row.
        initial_epoch : int, default=0
            Epoch to start at, to go on with a training: with the seed of the fit before, so that a fit in parts, also
            one saved and loaded in between, ends with the same bits as one in a piece.

        Returns
        -------
        History
            Its ``history`` holds one value an epoch for the loss and each metric.

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled, or data or an argument do not fit; the model is then as it was.
        RuntimeError
            In another fit of the model, that is by a callback.
        MemoryError
            The model is as it was.

        Notes
        -----
        Beside `x` and `y`, which are used where they are if they have the model's dtype and are C-contiguous, a fit
        needs no more memory than 4 times the parameters and, for one batch, 3 times the activations.
        """
        self._need_compiled("fit")
        batch_size = _batch_size(batch_size)
        given = {"initial_epoch": initial_epoch, "epochs": epochs}
        run_epochs = range(*(checks.integer(name, value, 0, MOST_EPOCHS) for name, value in given.items()))
        validation_split = checks.number("validation_split", validation_split, 0.0, 1.0)
        samples, validation = self._samples(x, y, sample_weight), None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise ValueError("validation_data must be a tuple (x, y) or (x, y, sample_weight)")
            validation = self._samples(*validation_data, source=" of validation_data")
        elif validation_split:
            samples, validation = split(samples, validation_split)
        if class_weight is not None:
            samples = weigh_classes(samples, class_weight, self.loss)
        meaning.check_sample_weights(samples.sample_weights)
        if self.variable_dtype == "float32":
            warn_of_lost_digits("x", x, samples.x)
            warn_of_lost_digits("y", y, samples.y)

        steps = -(-len(samples) // batch_size)
        line = ProgressLine(steps, checks.verbosity(verbose))
        listeners = CallbackList(callbacks, self, verbose=verbose, epochs=run_epochs.stop, steps=steps)
        with self._turn_to_train("fit"):
            objective = self._objective()
            seed = self._record.seed if run_epochs.start and self._record else seeding.fresh_seed()
            options = RunOptions(batch_size, len(run_epochs), bool(shuffle), seed, first_epoch=run_epochs.start)
            run = self.engine.train(objective, samples, options)
            validate = None
            if validation is not None:
                validate = partial(
                    training.evaluate, self.engine, validation, objective, self.metrics, listeners, batch_size
                )
            self.history = listeners.history
            describe = partial(
                conditions.of_fit, self, samples, validation,
                batch_size=batch_size, shuffle=shuffle, initial_epoch=run_epochs.start,
            )  # fmt: skip
            logs_of = partial(training.logs_of, metrics=self.metrics, widths=objective.widths)
            self._training = training.Training(self, run, run_epochs, logs_of, listeners, line, validate, describe)
            try:
                self._training.train()
            finally:
                try:
                    self._record = self._training.record()
                finally:  # also when a second interrupt strikes
                    self._training = None
        return listeners.history

    @heedless_but_for_callbacks
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = 32,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Return the loss and the metrics on given data.

        Parameters
        ----------
        x, y, sample_weight
            As in `fit`.
        batch_size : int, default=32
            Rows of a step, for callbacks and the progress line; the result does not depend on it.
        verbose : {"auto", 0, 1, 2}, default="auto"
        callbacks : list of Callback, optional
        return_dict : bool, default=False
            Return values by name.

        Returns
        -------
        float, list of float or dict
            The loss; with metrics, a list in the order of ``metrics_names``; or a dict.

        Raises
        ------
        TypeError, ValueError
            As `fit`.
        """
        self._need_compiled("evaluate")
        samples, batch_size = self._samples(x, y, sample_weight), _batch_size(batch_size)
        steps = -(-len(samples) // batch_size)
        listeners = CallbackList(callbacks, self, verbose=verbose, steps=steps)
        line = ProgressLine(steps, checks.verbosity(verbose))
        logs = training.evaluate(self.engine, samples, self._objective(), self.metrics, listeners, batch_size)
        line.finish(logs)
        return self._results(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = 32,
        verbose: int | str = "auto",
        callbacks: Any = None,
        **others: Any,
    ) -> np.ndarray:
        """Return the outputs for given inputs.

        Parameters
        ----------
        x : array-like of shape (n, ...)
        batch_size : int, default=32
            Rows of a step, for callbacks and the progress line; the result does not depend on it.
        verbose : {"auto", 0, 1, 2}, default="auto"
            Unlike in Keras ``"auto"`` is 0, so that many small predictions stay quick and quiet.
        callbacks : list of Callback, optional
        **others
            Keras' `steps`, as None.

        Returns
        -------
        numpy.ndarray of shape (n, outputs)
            Or, if x lies on the GPU, an array there, which CuPy and PyTorch take without a copy.
        """
        if others:
            accept(Model.predict, (self,), others, ("predict",))
        engine, verbose = self.engine, checks.verbosity(verbose, auto=0)
        if callbacks is None and not verbose:
            return self(x)
        rows = inputs(x, self._row_shape, engine.plan.dtype, device=engine.device)
        batch_size = _batch_size(batch_size)
        steps = -(-len(rows) // batch_size)
        line = ProgressLine(steps, verbose)
        outputs = training.predict(
            engine, rows, CallbackList(callbacks, self, verbose=verbose, steps=steps), batch_size
        )
        line.finish({})
        return outputs

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Return the outputs for given inputs; the same as ``model(x)``."""
        return self(x)

    def __call__(self, x: Any, training: bool | None = False, mask: Any = None) -> np.ndarray:
        if training or mask is not None:
            raise TypeError(
                "a model is called for predictions: fastnn has no training=True and no mask; train with fit or "
                "train_on_batch"
            )
        engine, shape = self.engine, self._row_shape
        dtype, device = engine.plan.dtype, engine.device
        rows = inputs(x, shape, dtype, device=device, check=False)
        return engine.predict(rows, check=lambda: inputs(x, shape, dtype, device=device))

    @heedless
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Do one training step on all of the given rows and return its loss and metrics, as `evaluate` does.

        Not for callbacks in a fit of the same model: RuntimeError.
        """
        self._need_compiled("train_on_batch")
        samples = self._samples(x, y, sample_weight)
        if class_weight is not None:
            samples = weigh_classes(samples, class_weight, self.loss)
        with self._turn_to_train("train_on_batch"):
            options = RunOptions(len(samples), seed=seeding.fresh_seed())
            objective = self._objective()
            run = self.engine.train(objective, samples, options)
            run.advance(1)
        return self._results(training.logs_of(run.logs(0), self.metrics, objective.widths), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Return loss and metrics on the given rows, as `evaluate` does."""
        return self.evaluate(x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict)


def _batch_size(batch_size: int | None) -> int:
    return 32 if batch_size is None else checks.integer("batch_size", batch_size, 1)
