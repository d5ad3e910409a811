"""Callbacks that write the model to files, so that a training can go on after whatever ended it."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastnn.callbacks.base import Callback
from fastnn.callbacks.monitoring import check_mode, check_monitor, smaller_is_better
from fastnn.common import checks
from fastnn.common.attributes import Strict
from fastnn.common.model_file_errors import OtherTrainingError
from fastnn.common.user_warnings import warn
from fastnn.kernels.host.files import left_behind
from fastnn.kernels.host.streams import say


class _Saver(Strict, Callback):
    """A callback that works after every epoch, or every so many steps, counted from the first of epoch 0."""

    def __init__(self, save_freq: int | str) -> None:
        self.save_freq = save_freq if save_freq == "epoch" else checks.integer("save_freq", save_freq, 1)

    # training stops where a callback has a hook of its own: after every step only if it must

    @property
    def on_epoch_begin(self) -> Any:  # type: ignore[override]
        return super().on_epoch_begin if self.save_freq == "epoch" else self._note_epoch

    @property
    def on_train_batch_end(self) -> Any:  # type: ignore[override]
        return super().on_train_batch_end if self.save_freq == "epoch" else self._after_step

    @property
    def on_epoch_end(self) -> Any:  # type: ignore[override]
        return self._after_epoch if self.save_freq == "epoch" else super().on_epoch_end

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        _ = self.model.save  # the model of an estimator says at once that it has none

    def _note_epoch(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._epoch = epoch

    def _after_step(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if (self._epoch * self.params["steps"] + batch + 1) % self.save_freq == 0:  # type: ignore[operator]
            self._save(self._epoch, batch, logs or {})

    def _after_epoch(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Mapping[str, float]) -> None:
        raise NotImplementedError

    @classmethod
    def _guards(cls, name: str) -> bool:
        return name == "save_freq"

    def _change(self, name: str, value: Any) -> Any:
        raise AttributeError(f"save_freq of {type(self).__name__} cannot be changed: make a new object")


class ModelCheckpoint(_Saver):
    """Saves the model during training, each file whole or not at all.

    Parameters
    ----------
    filepath : str or path
        Name of the file; ``{epoch}``, ``{batch}`` (both from 1) and the names of the logs in it are filled in, such as
        ``"model-{epoch:02d}-{val_loss:.3f}.fastnn"``. Its folder is made if it is missing.
    monitor : str, default="val_loss"
        Name in the logs, for `save_best_only`.
    verbose : int, default=0
        With 1, says what it does.
    save_best_only : bool, default=False
        Save only when the monitored value is the best so far.
    save_weights_only : bool, default=False
        Leave the optimizer's state out.
    mode : {"auto", "min", "max"}, default="auto"
        What is better; ``"auto"`` as in `EarlyStopping`.
    save_freq : "epoch" or int, default="epoch"
        After every epoch, or after so many steps, counted from the first of epoch 0.
    initial_value_threshold : float, optional
        Value that must be beaten for the first save of `save_best_only`.

    Notes
    -----
    ``load_model`` reads the file. A fit with ``initial_epoch`` set to the number of epochs done gives the model the
    same bits as if nothing had been between: the file holds the optimizer's state and the seed of the run. Callbacks,
    such as `EarlyStopping` with its patience, begin anew in that fit; `BackupAndRestore` keeps their state.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(save_freq)
        self.filepath = os.fspath(filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.mode = check_mode(mode)
        self.best = initial_value_threshold

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self._smaller_is_better()  # before anything is trained, if it cannot be told

    def get_state(self) -> dict[str, Any]:
        return {"monitor": self.monitor, "best": self.best}

    def set_state(self, state: dict[str, Any]) -> None:
        check_monitor(self.monitor, state["monitor"])
        self.best = state["best"]

    def _smaller_is_better(self) -> bool:
        return smaller_is_better(self.monitor, self.mode, self.model.metrics, type(self).__name__)

    def _save(self, epoch: int, batch: int | None, logs: Mapping[str, float]) -> None:
        if self.save_best_only and not self._is_best(epoch, logs):
            return
        try:
            path = self.filepath.format(epoch=epoch + 1, batch=0 if batch is None else batch + 1, **logs)
        except KeyError as error:
            raise KeyError(
                f"filepath={self.filepath!r} asks for {error.args[0]!r}, which is not among the logs: {', '.join(logs)}"
            ) from None
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"filepath={self.filepath!r} cannot be filled in with epoch, batch and logs ({error}); a brace is "
                "'{{'"
            ) from None
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.model.save(path, include_optimizer=not self.save_weights_only)
        if self.verbose:
            say(f"Epoch {epoch + 1}: saving model to {path}")

    def _is_best(self, epoch: int, logs: Mapping[str, float]) -> bool:
        value = logs.get(self.monitor)
        if value is None:
            warn(
                f"ModelCheckpoint looks at {self.monitor!r}, which is not among the logs: {', '.join(logs)}",
            )
            return False
        if math.isnan(value):
            return False
        best, smaller = self.best, self._smaller_is_better()
        if best is not None and (value >= best if smaller else value <= best):
            if self.verbose:
                say(f"Epoch {epoch + 1}: {self.monitor} did not improve from {best:.5f}")
            return False
        self.best = value
        return True


class BackupAndRestore(_Saver):
    """Keeps a backup of a fit while it runs; the same fit started again goes on where the backup was made.

    The run that goes on ends with the same bits as one that was never stopped: the backup holds weights, optimizer,
    step, seed and history, and the state of all callbacks: patience and best weights of `EarlyStopping`, the best
    value of `ModelCheckpoint`, and that of your own callbacks which have `get_state` and `set_state`. (What
    others keep in attributes is not saved.) It comes after all other callbacks, wherever it stands among them.

    Parameters
    ----------
    backup_dir : str or path
        Folder of the backup, of one fit only; made if it is missing.
    save_freq : "epoch" or int, default="epoch"
        After every epoch, or after so many steps, counted from the first of epoch 0.
    double_checkpoint : bool, default=False
        Keep the backup before the last as well; it is used if the last cannot be read.
    delete_checkpoint : bool, default=True
        Delete the backup when the fit is done.

    Raises
    ------
    ValueError
        From ``fit``, if no backup can be read, or the one that is there is of another fit: other layers, optimizer,
        loss or metrics, other rows, batches, shuffling, weights or validation data, another first epoch, fewer epochs
        than were begun, or other callbacks that have a state. The message names what differs; the backup stays.

    Notes
    -----
    ``epochs`` may grow; a fit that ``stop_training`` has ended stays so. Whether rows are the same is told by their
    number and a digest: of all of them up to 4 MB, of 1024 of them, evenly spaced, in larger arrays.
    """

    NAME = "backup.fastnn"

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__(save_freq)
        if not os.fspath(backup_dir):
            raise ValueError("backup_dir must name a folder; got ''")
        self.backup_dir = Path(backup_dir)
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint

    def _files(self) -> list[Path]:
        """Return the paths of the backup and of the one before."""
        return [Path(self.backup_dir) / name for name in (self.NAME, f"former-{self.NAME}")]

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
        for unfinished in left_behind(self._files()[0]):
            unfinished.unlink(missing_ok=True)
        backups = [path for path in self._files() if path.exists()]
        for path in backups:
            try:
                self.model.restore(path)
            except OtherTrainingError:
                raise
            except ValueError:
                if path is backups[-1]:
                    raise
                path.unlink()
            else:
                break

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        if self.delete_checkpoint:
            for path in self._files():
                path.unlink(missing_ok=True)

    def _save(self, epoch: int, batch: int | None, logs: Mapping[str, float]) -> None:
        file, former = self._files()
        if self.double_checkpoint and file.exists():
            os.replace(file, former)
        self.model.back_up(file)
