"""fastnn: small and medium neural networks on compiled kernels, with the interfaces of Keras and scikit-learn.

Every public name below is loaded when it is first used, so that ``import fastnn`` costs next to nothing.
"""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.common.old_modules import OldModules

if TYPE_CHECKING:  # the same names for editors and type checkers; a test compares them with the table below
    from fastnn import activations as activations
    from fastnn import callbacks as callbacks
    from fastnn import datasets as datasets
    from fastnn import export as export
    from fastnn import initializers as initializers
    from fastnn import layers as layers
    from fastnn import losses as losses
    from fastnn import metrics as metrics
    from fastnn import models as models
    from fastnn import optimizers as optimizers
    from fastnn import plotting as plotting
    from fastnn import regularizers as regularizers
    from fastnn import utils as utils
    from fastnn.callbacks import BackupAndRestore as BackupAndRestore
    from fastnn.callbacks import Callback as Callback
    from fastnn.callbacks import EarlyStopping as EarlyStopping
    from fastnn.callbacks import History as History
    from fastnn.callbacks import LambdaCallback as LambdaCallback
    from fastnn.callbacks import ModelCheckpoint as ModelCheckpoint
    from fastnn.engine.devices import get_device as get_device
    from fastnn.engine.devices import set_device as set_device
    from fastnn.engine.threads import get_num_threads as get_num_threads
    from fastnn.engine.threads import set_num_threads as set_num_threads
    from fastnn.estimators import MLPClassifier as MLPClassifier
    from fastnn.estimators import MLPRegressor as MLPRegressor
    from fastnn.estimators.perceptron import Perceptron as Perceptron
    from fastnn.layers import Activation as Activation
    from fastnn.layers import AveragePooling1D as AveragePooling1D
    from fastnn.layers import AveragePooling2D as AveragePooling2D
    from fastnn.layers import BatchNormalization as BatchNormalization
    from fastnn.layers import Conv1D as Conv1D
    from fastnn.layers import Conv2D as Conv2D
    from fastnn.layers import Dense as Dense
    from fastnn.layers import Dropout as Dropout
    from fastnn.layers import Flatten as Flatten
    from fastnn.layers import GlobalAveragePooling1D as GlobalAveragePooling1D
    from fastnn.layers import GlobalAveragePooling2D as GlobalAveragePooling2D
    from fastnn.layers import GlobalMaxPooling1D as GlobalMaxPooling1D
    from fastnn.layers import GlobalMaxPooling2D as GlobalMaxPooling2D
    from fastnn.layers import Input as Input
    from fastnn.layers import LayerNormalization as LayerNormalization
    from fastnn.layers import MaxPooling1D as MaxPooling1D
    from fastnn.layers import MaxPooling2D as MaxPooling2D
    from fastnn.layers import Normalization as Normalization
    from fastnn.layers import Rescaling as Rescaling
    from fastnn.models import Sequential as Sequential
    from fastnn.models import load_model as load_model
    from fastnn.optimizers import SGD as SGD
    from fastnn.optimizers import Adagrad as Adagrad
    from fastnn.optimizers import Adam as Adam
    from fastnn.optimizers import Adamax as Adamax
    from fastnn.optimizers import AdamW as AdamW
    from fastnn.optimizers import Lion as Lion
    from fastnn.optimizers import Nadam as Nadam
    from fastnn.optimizers import RMSprop as RMSprop
    from fastnn.plotting.loss_curve import LossCurveDisplay as LossCurveDisplay
    from fastnn.utils import set_random_seed as set_random_seed
    from fastnn.utils import to_categorical as to_categorical

__version__ = "0.1.0"

_MODULES = (
    "activations",
    "callbacks",
    "datasets",
    "export",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "plotting",
    "regularizers",
    "utils",
)
_HOME = {  # public name -> the module that defines it
    "Activation": "layers",
    "Adagrad": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Adamax": "optimizers",
    "AveragePooling1D": "layers",
    "AveragePooling2D": "layers",
    "BackupAndRestore": "callbacks",
    "BatchNormalization": "layers",
    "Callback": "callbacks",
    "Conv1D": "layers",
    "Conv2D": "layers",
    "Dense": "layers",
    "Dropout": "layers",
    "EarlyStopping": "callbacks",
    "Flatten": "layers",
    "GlobalAveragePooling1D": "layers",
    "GlobalAveragePooling2D": "layers",
    "GlobalMaxPooling1D": "layers",
    "GlobalMaxPooling2D": "layers",
    "History": "callbacks",
    "Input": "layers",
    "LambdaCallback": "callbacks",
    "LayerNormalization": "layers",
    "Lion": "optimizers",
    "LossCurveDisplay": "plotting.loss_curve",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "MaxPooling1D": "layers",
    "MaxPooling2D": "layers",
    "ModelCheckpoint": "callbacks",
    "Nadam": "optimizers",
    "Normalization": "layers",
    "Perceptron": "estimators.perceptron",
    "RMSprop": "optimizers",
    "Rescaling": "layers",
    "SGD": "optimizers",
    "Sequential": "models",
    "get_device": "engine.devices",
    "get_num_threads": "engine.threads",
    "load_model": "models",
    "set_device": "engine.devices",
    "set_num_threads": "engine.threads",
    "set_random_seed": "utils",
    "to_categorical": "utils",
}
__all__ = [*_HOME, *_MODULES]

_root = Path(__file__).resolve().parent.parent
if (_root / "kernels" / "__init__.py").exists() and not (_root / "fastnn" / "kernels").exists():
    __path__.append(str(_root))  # a source checkout: fastnn.kernels lies in ../kernels
if OldModules not in sys.meta_path:
    sys.meta_path.append(OldModules)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name.startswith("__"):
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    from fastnn.common.absent import refuse

    refuse(__name__, name, __all__, sys._getframe(1))


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
