"""Names of Keras that fastnn lacks: what to do instead, said where they are asked for."""

import difflib
import opcode
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

_GRAPH = "models are stacks of layers, Sequential([Input((8,)), Dense(16, activation='relu'), Dense(1)])"
_PICTURES = "for pictures there are Conv2D, MaxPooling2D, AveragePooling2D, global pooling, and the same for sequences"
_SEQUENCES = "there are no layers for sequences or text"
_MERGING = "there are no layers with several inputs; put the columns into one array before the model"
_FUNCTION = "a layer takes it by name, Dense(16, activation='relu') or Activation('relu')"
_PREPARING = "prepare the columns before the model, with scikit-learn for instance"
_ARRAYS = "compute with NumPy on the arrays before and after the model"
_BATCHES = "fit takes arrays whole, and train_on_batch single batches"
_FILES = "model.save and fastnn.load_model keep models in files"
_DATA = "fastnn.datasets has what dir(fastnn.datasets) lists; scikit-learn's fetch_openml has others"
_SCORE = "compute it from model.predict, with sklearn.metrics for instance, also in a callback's on_epoch_end"
_TRAINED = "all layers are trained; train a model of the others on the outputs of those that shall not change"
_WEIGHTS = "get_weights, set_weights and weights are there, as NumPy arrays"

_ADVICE: dict[str, str] = {}
for _advice, _names in {
    _GRAPH: "Model Function KerasTensor InputLayer input output InputSpec Operation",
    _PICTURES: "Conv3D Conv1DTranspose Conv2DTranspose DepthwiseConv1D DepthwiseConv2D SeparableConv1D "
    "SeparableConv2D MaxPooling3D AveragePooling3D UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D Cropping1D "
    "Cropping2D RandomFlip RandomRotation RandomZoom Resizing applications preprocessing load_img img_to_array "
    "array_to_img image_dataset_from_directory",
    _SEQUENCES: "LSTM GRU SimpleRNN RNN Bidirectional TimeDistributed Embedding Attention MultiHeadAttention Masking "
    "TextVectorization pad_sequences RepeatVector",
    _MERGING: "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add concatenate",
    _FUNCTION: "ReLU LeakyReLU ELU PReLU Softmax ThresholdedReLU",
    _PREPARING: "CategoryEncoding Discretization FeatureSpace HashedCrossing Hashing IntegerLookup StringLookup "
    "normalize",
    _ARRAYS: "Lambda ops backend random tree ops linalg",
    _BATCHES: "PyDataset Sequence split_dataset",
    _FILES: "save_model model_from_json export",
    _DATA: "mnist fashion_mnist cifar10 cifar100 boston_housing california_housing imdb reuters",
    _SCORE: "AUC Precision Recall F1Score FBetaScore R2Score TruePositives TrueNegatives FalsePositives FalseNegatives "
    "Mean Sum TopKCategoricalAccuracy SparseTopKCategoricalAccuracy CosineSimilarity MeanIoU",
    _WEIGHTS: "variables trainable_variables non_trainable_variables add_weight Variable",
    "its modules are fastnn's own: from fastnn import layers, models, optimizers": "keras tensorflow tf",
    "copy.deepcopy(model) keeps the weights, Sequential.from_config(model.get_config()) draws new ones": "clone_model",
    "a schedule of fastnn.optimizers.schedules sets a rate for each step, a callback may set "
    "self.model.optimizer.learning_rate": "LearningRateScheduler ReduceLROnPlateau",
    "LambdaCallback and classes derived from Callback do it; fit returns the History": "CSVLogger TensorBoard "
    "ProgbarLogger RemoteMonitor TerminateOnNaN SwapEMAWeights",
    "L2 is there: Dense(16, kernel_regularizer='l2')": "l1 L1 l1_l2 L1L2 Regularizer OrthogonalRegularizer",
    "gradients can be limited, Adam(clipnorm=1.0), and weights by weight_decay": "constraints MaxNorm NonNeg UnitNorm "
    "max_norm non_neg MinMaxNorm",
    "Dropout is there": "AlphaDropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D "
    "ActivityRegularization",
    "Sequential(dtype='mixed_bfloat16') is there": "mixed_precision DTypePolicy dtype_policies",
    "fastnn.estimators, MLPClassifier and MLPRegressor, are scikit-learn's": "wrappers KerasClassifier KerasRegressor",
    "load_model(path, custom_objects={...}) takes classes of your own": "register_keras_serializable "
    "get_custom_objects custom_object_scope CustomObjectScope saving",
    "model.summary() shows the layers": "plot_model model_to_dot",
}.items():
    _ADVICE |= dict.fromkeys(_names.split(), _advice)


def missing(where: str, name: str, known: Iterable[str]) -> str:
    """Say in one sentence that there is no such name, and what there is.

    Parameters
    ----------
    where : str
        Module or class.
    name : str
    known : iterable of str
        What there is.
    """
    if name in _ADVICE:
        return f"{where} has no {name!r}: {_ADVICE[name]}"
    close = difflib.get_close_matches(name, [other for other in known if not other.startswith("_")], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"dir({where}) lists what there is"
    return f"{where} has no {name!r}; {hint}"


def refuse(module: str, name: str, known: Iterable[str], frame: Any) -> NoReturn:
    """Raise the error for a name that a module has not got, which was asked for in a frame.

    Raises
    ------
    AttributeError
    ImportError
        If the frame is in ``from module import name``, where Python keeps no message of an AttributeError.
    """
    if name.startswith("__"):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    imports = frame.f_code.co_code[frame.f_lasti] == opcode.opmap["IMPORT_FROM"]
    raise (ImportError if imports else AttributeError)(missing(module, name, known))


def explain(module: str) -> None:
    """Let a module say what there is instead of a name that it has not got."""
    names = vars(sys.modules[module])
    # set here, as type checkers would take a __getattr__ in the module for any name
    names["__getattr__"] = lambda name: refuse(module, name, names.get("__all__") or list(names), sys._getframe(1))
