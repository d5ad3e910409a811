"""A stack of layers with an optimizer, a loss and metrics: what has to be known before data come in."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from fastnn import losses, optimizers
from fastnn.common.arithmetic import heedless
from fastnn.common.declarations import our_base
from fastnn.data import meaning
from fastnn.data.samples import Samples, checked_samples, row_shape_of
from fastnn.engine.devices import resolve
from fastnn.engine.training_record import TrainingRecord
from fastnn.metrics import Metric, get_list
from fastnn.models import model_file
from fastnn.models.description import DescribedStack


class CompiledStack(DescribedStack):
    """What a model is, with how it is trained and judged."""

    optimizer: optimizers.Optimizer | None = None
    loss: losses.Loss | None = None
    metrics: Sequence[Metric] = ()
    jit_compile: bool | str = "auto"
    _training: Any = None  # the fit in progress
    _record: TrainingRecord | None = None  # where the last fit ended
    _restored = False  # since the fit began

    @heedless
    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, *, jit_compile: bool | str = "auto"
    ) -> None:
        """Choose how the model is trained; the optimizer starts afresh.

        Parameters
        ----------
        optimizer : str, Optimizer or dict, default="rmsprop"
        loss : str, Loss, loss function or dict
            Or a list of one of them.
        metrics : list of str, Metric or dict, optional
            Lists in it are joined; of two metrics with one name, the second gets a number, as in ``mae_1``.
        jit_compile : bool or "auto", default="auto"
            Whether to compile a program for this very network, its functions and the size of its batches. Compiling
            takes some seconds, once, as the program is kept on disk; small networks then train up to 1.8 times as fast,
            with the same bits. "auto" does it for a network of at most 50,000 parameters after half a minute of a
            fit, if the rest would take longer than that. On a GPU it makes no difference.

        Raises
        ------
        ValueError
            For an unknown name.
        RuntimeError
            In a fit of the model, that is by a callback.
        """
        if not (isinstance(jit_compile, bool) or jit_compile == "auto"):
            raise ValueError(f"jit_compile must be True, False or 'auto'; got {jit_compile!r}")
        if isinstance(loss, (list, tuple)):
            if len(loss) != 1:
                raise ValueError(f"loss: a model has one output, and takes one loss; got {len(loss)}")
            (loss,) = loss
        chosen = optimizers.get(optimizer), None if loss is None else losses.get(loss), get_list(metrics)
        with nullcontext() if self._engine is None else self._turn("compile"):
            self.optimizer, self.loss, self.metrics = chosen
            self.jit_compile = jit_compile
            if self._engine is not None:
                self._prepare_engine(self._engine)

    @classmethod
    def _guards(cls, name: str) -> bool:
        return name in ("optimizer", "loss", "metrics", "jit_compile") or super()._guards(name)

    def _change(self, name: str, value: Any) -> Any:
        if name == "jit_compile":
            raise AttributeError(f"jit_compile is set by compile(..., jit_compile={value!r})")
        if name in ("optimizer", "loss", "metrics") and self._training is not None and self._training.is_here:
            raise RuntimeError(
                f"{name} within a fit of the same model would be that of another training: a callback can set weights "
                "or the learning rate, or stop_training; do the rest before or after the fit"
            )
        if name == "metrics":
            return get_list(value)
        get = {"optimizer": optimizers.get, "loss": losses.get}.get(name)
        return super()._change(name, value) if get is None or value is None else get(value)

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns: the loss, then the metrics in the order of `compile`."""
        return ["loss", *(metric.name for metric in self.metrics)]

    @heedless
    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True, *, include_optimizer: bool = True) -> None:
        """Write the model to a file, as safetensors whatever the file is called.

        It holds configuration, weights, the optimizer's state, the history and how far training has come. The file is
        written under another name and renamed, so a failure leaves an older one as it was.

        Parameters
        ----------
        filepath : str or path
        overwrite : bool, default=True
        include_optimizer : bool, default=True
            Without it, state of the optimizer, history and progress are left out, and the file is a third of the size.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is false.
        OSError
            If it cannot be written.
        TypeError, ValueError
            If the model is not built yet, or holds what no file can: the message names it, as ``metadata['a'][3]``. An
            older file is then as it was.
        MemoryError
            Likewise.
        """
        self._need_built()
        model_file.write(filepath, model_file.encoded(self, include_optimizer), overwrite)

    def back_up(self, path: str | os.PathLike[str]) -> None:
        """Write the model with the state of the callbacks of the fit that it is in, so that the same fit can go on.

        Raises
        ------
        RuntimeError
            If the model is in no fit.
        TypeError
            If a callback gives a state that a file cannot hold.
        OSError
            If the file cannot be written.
        """
        if self._training is None:
            raise RuntimeError("back_up is for callbacks in a fit; save writes a model at any time")
        model_file.write(path, model_file.encoded(self, surroundings=self._training.surroundings()))

    @heedless
    def restore(self, path: str | os.PathLike[str]) -> None:
        """Bring weights, optimizer and training to where they were in a file of this model.

        A callback may do it in ``on_train_begin``; the fit then goes on where the model in the file was.

        Raises
        ------
        ModelFileError
            A ValueError: if the file is damaged, or of another model or, in a fit, the backup of another fit; this
            one is then as it was.
        RuntimeError
            In a fit of the model, but for ``on_train_begin``.
        """
        self._need_built()
        with self._turn("restore", begun=True):
            model_file.restore(self, model_file.read(path), repr(os.fspath(path)))
            self._restored = True

    def restored_record(self) -> TrainingRecord | None:
        """Return the record that `restore` has read and from which no fit has gone on."""
        return self._record if self._restored else None

    def forget_restored(self) -> None:
        """Take the record of the training in progress for that of the model again."""
        self._restored = False

    def differences_from(self, record: TrainingRecord) -> list[str]:
        """Return in words why the fit in progress, if there is one, cannot go on from this record."""
        return [] if self._training is None else self._training.differences_from(record)

    def record(self) -> TrainingRecord | None:
        """Return how far training has come."""
        return self._record if self._training is None or self._restored else self._training.record()

    def take_record(self, record: TrainingRecord | None) -> None:
        """Let the next fit with ``initial_epoch`` go on as the fit of this record would."""
        self._record = record

    def snapshot(self) -> tuple[list[np.ndarray], dict[str, Any] | None, TrainingRecord | None]:
        """Return weights, optimizer's state and record of the training, all of the same step."""
        if self._engine is None:
            return self.get_weights(), None, self._record
        weights, state, record = self._engine.snapshot(self.record)
        trained = self._engine.optimizer is self.optimizer is not None and state["counters"][0] > 0
        return weights, state if trained else None, record

    def optimizer_state(self) -> dict[str, Any] | None:
        """Return counters and moments of the optimizer; None before its first step."""
        return self._engine.get_state() if self._has_stepped() else None

    def _has_stepped(self) -> bool:
        """Whether the optimizer, which may have been assigned since, has done a step."""
        if self.optimizer is None or self._engine is None:
            return False
        return self._engine.optimizer is self.optimizer and self._engine.step > 0

    @contextmanager
    def _turn(self, what: str, begun: bool = False) -> Iterator[None]:
        """Wait until no other thread trains the model; refuse ``what`` in a fit, or once its steps have ``begun``."""
        with self.engine.turn() as again:
            training = self._training
            beginning = begun and training is not None and not training.begun
            if again and not beginning:
                raise RuntimeError(
                    f"{what} within a fit of the same model would mix up two trainings: a callback, and a handler of a "
                    "signal, can set weights or the learning rate, or stop_training; do the rest before or after the "
                    "fit"
                )
            yield

    @contextmanager
    def _turn_to_train(self, what: str) -> Iterator[None]:
        """The same for a training, with the optimizer that the model has now, which may have been assigned."""
        with self._turn(what):
            if self.engine.optimizer is not self.optimizer:
                self.engine.reset_optimizer(self.optimizer)
            yield

    def _release_engine(self) -> None:
        if self._engine is not None:
            with self._turn("add or pop"):
                super()._release_engine()
            if self.optimizer is not None:
                self.optimizer.count(0)  # the next engine begins anew

    def __reduce__(self) -> Any:
        about = (type(self), self._device, self._threads, True, model_file.own_classes(self))
        ours = our_base(type(self))
        known = set(vars(ours())).union(*map(vars, ours.__mro__))
        attributes = {name: value for name, value in vars(self).items() if name not in known}
        return model_file.from_bytes, (model_file.to_bytes(self), "the pickle", *about), attributes or None

    def _prepare_engine(self, engine: Any) -> None:
        engine.jit_compile = self.jit_compile
        if self.optimizer is not None:
            engine.reset_optimizer(self.optimizer)

    def _optimizer_params(self) -> int:
        if self.optimizer is None or not self._has_stepped():
            return 0
        return self.optimizer.slots * self._trainable_params() + 2  # the learning rate and the number of steps

    def _state(self) -> list[str]:
        if self.optimizer is None:
            return [*super()._state(), "not compiled"]
        names = [f"loss {self.loss.name}"] if self.loss else []
        names += [f"metrics {' '.join(metric.name for metric in self.metrics)}"] if self.metrics else []
        return [*super()._state(), ", ".join([f"compiled with {self.optimizer.name}", *names])]

    def _need_compiled(self, what: str) -> None:
        if self.optimizer is None or self.loss is None:
            missing = "compile(optimizer, loss)" if self.optimizer is None else "compile with a loss"
            raise ValueError(f"{what} needs a compiled model: call {missing} first")

    def _samples(self, x: Any, y: Any, sample_weight: Any = None, *, source: str = "") -> Samples:
        """Return what the user passed in the form the engine takes; the first data build a model without a shape."""
        assert self.loss is not None
        if not self.built:
            self.build((None, *row_shape_of(x, resolve(self._device))))
        plan = self.engine.plan
        samples = checked_samples(
            x, y, sample_weight, self._row_shape, plan.n_outputs, self.loss, plan.dtype, source, self.engine.device
        )
        meaning.check_metrics(self.metrics, plan.n_outputs, self.loss, samples.y, f"y{source}")
        return samples

    def _objective(self) -> Any:
        assert self.loss is not None
        plan, sparse = self.engine.plan, self.loss.sparse
        return plan.objective(self.loss, [metric.sums(plan.n_outputs, sparse) for metric in self.metrics])

    def _results(self, logs: dict[str, float], return_dict: bool) -> float | list[float] | dict[str, float]:
        if return_dict:
            return logs
        return [logs[name] for name in self.metrics_names] if self.metrics else logs["loss"]
