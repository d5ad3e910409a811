"""Callbacks: code of the user's that runs during training, with Keras' hooks."""

from fastnn.callbacks.base import HOOKS, Callback
from fastnn.callbacks.callback_list import CallbackList
from fastnn.callbacks.checkpoints import BackupAndRestore, ModelCheckpoint
from fastnn.callbacks.early_stopping import EarlyStopping
from fastnn.callbacks.history import History
from fastnn.callbacks.lambda_callback import LambdaCallback
from fastnn.common import absent

__all__ = [
    "HOOKS",
    "BackupAndRestore",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "ModelCheckpoint",
]


absent.explain(__name__)
