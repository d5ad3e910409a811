"""Arguments: Keras' at their defaults are taken, at other values refused by name; misspelt ones are recognized."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import Dense, Dropout, Flatten, Input, Sequential, losses, metrics, optimizers
from fastnn.optimizers import schedules

# Of everything that both have: the arguments of Keras 3.15.1 and their defaults.
KERAS = json.loads((Path(__file__).parent / "keras_signatures.json").read_text())
X, Y = np.linspace(0, 1, 24, dtype=np.float32).reshape(8, 3), np.arange(8.0) % 2
REQUIRED = {
    "activation": "relu",
    "backup_dir": "folder",
    "boundaries": [1],
    "config": Sequential([Dense(1, input_shape=(3,))]).get_config(),
    "decay_rate": 0.5,
    "decay_steps": 10,
    "filepath": "file",
    "first_decay_steps": 10,
    "initial_learning_rate": 0.1,
    "rate": 0.5,
    "scale": 2.0,
    "shape": (3,),
    "units": 2,
    "values": [0.1, 0.01],
    "x": X,
    "y": Y,
    "y_pred": np.full((4, 1), 0.5),
    "y_true": np.ones((4, 1)),
}
BASES = ("Layer", "Loss", "Metric", "Optimizer", "CallbackList")
MADE = [
    (module, name)
    for module, names in KERAS.items()
    for name in names
    if module not in ("Sequential", "models") and name not in BASES
]


def home(module):
    found = fastnn
    for part in module.split("."):
        found = getattr(found, part)
    return found


def arguments_of(module, name):
    arguments = dict(KERAS[module][name])
    if module == "layers" and name != "Input":
        arguments = KERAS["layers"]["Layer"] | arguments  # Keras' layers pass them on
    if "sparse_categorical" in name:
        return {**arguments, "y_true": np.zeros(4), "y_pred": np.full((4, 3), 1 / 3)}
    given = {key: REQUIRED[key] for key, value in arguments.items() if value == "<required>" or key == "shape"}
    return arguments | given


@pytest.mark.parametrize(("module", "name"), MADE)
def test_arguments_of_keras_at_their_defaults(module, name):
    getattr(home(module), name)(**arguments_of(module, name))


@pytest.mark.parametrize(("module", "name"), MADE)
def test_arguments_of_keras_at_other_values_are_refused_by_name(module, name):
    make, odd = getattr(home(module), name), object()
    ours = inspect.signature(make).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in ours.values()) and module != "optimizers":
        return  # LambdaCallback and functions that pass their arguments on
    common = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
    for lacking in KERAS[module][name]:
        if lacking not in ours and lacking not in common and lacking != "x":
            with pytest.raises(TypeError, match=f"fastnn has no {lacking}="):
                make(**{**arguments_of(module, name), lacking: odd})


@pytest.mark.parametrize("name", [name for name in KERAS["Sequential"] if name != "build"])
def test_methods_of_a_model(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = Sequential([Input((3,)), Dense(1, "sigmoid")])
    model.compile("sgd", "mse")
    given = {key: REQUIRED.get(key) for key, value in KERAS["Sequential"][name].items() if value == "<required>"}
    given |= {key: REQUIRED[key] for key in ("x", "y") if key in KERAS["Sequential"][name]}
    given |= {"layer": Dense(2)} if name == "add" else {"name": "dense"} if name == "get_layer" else {}
    given |= {"weights": model.get_weights()} if name == "set_weights" else {}
    arguments = KERAS["Sequential"][name] | given
    getattr(model, name)(**arguments)
    function = getattr(type(model), name)
    for lacking in KERAS["Sequential"][name].keys() - inspect.signature(function).parameters.keys():
        with pytest.raises(TypeError, match=rf"Sequential.{name}\(\): fastnn has no {lacking}='odd'"):
            getattr(model, name)(**{**arguments, lacking: "odd"})


def test_load_model_and_the_constructor_of_models(tmp_path):
    model = Sequential(layers=[Input((3,)), Dense(1)], trainable=True, name=None)
    model.save(filepath=tmp_path / "file")
    again = fastnn.load_model(filepath=tmp_path / "file", custom_objects=None, compile=True, safe_mode=True)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert model(X, training=False).shape == (8, 1)
    with pytest.raises(TypeError, match="fastnn has no training=True"):
        model(X, training=True)
    with pytest.raises(TypeError, match=r"load_model\(\): fastnn has no safe_mode=False"):
        fastnn.load_model(tmp_path / "file", safe_mode=False)
    with pytest.raises(TypeError, match=r"Sequential\(\): fastnn has no trainable=False; leave it out: all layers"):
        Sequential(trainable=False)


class Narrow(Dense):
    """A class of the user's that passes arguments on."""

    def __init__(self, width=2, **others):
        super().__init__(width, **others)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(3, activaton="relu"), r"Dense\(\) has no argument 'activaton'; did you mean 'activation'\?"),
        (lambda: Narrow(actvation="relu"), r"Narrow\(\) has no argument 'actvation'; did you mean 'activation'\?"),
        (lambda: Narrow(widht=3), r"Narrow\(\) has no argument 'widht'; did you mean 'width'\?"),
        (lambda: Narrow(kernel_constraint="x"), r"Narrow\(\): fastnn has no kernel_constraint='x'"),
        (lambda: fastnn.Adam(beta1=0.9), r"Adam\(\) has no argument 'beta1'; did you mean 'beta_1'\?"),
        (lambda: fastnn.AdamW(clip_norm=1.0), "did you mean 'clipnorm'"),
        (lambda: optimizers.SGD(learningrate=1), "did you mean 'learning_rate'"),
        (lambda: losses.Huber(detla=1.0), "did you mean 'delta'"),
        (lambda: losses.MeanSquaredError(axis=1), r"MeanSquaredError\(\) has no argument 'axis'"),
        (lambda: losses.mean_squared_error([1], [1], axs=1), r"mean_squared_error\(\) has no argument 'axs'"),
        (lambda: metrics.BinaryAccuracy(treshold=0.5), r"BinaryAccuracy\(\) has no argument 'treshold'"),
        (lambda: schedules.CosineDecay(0.1, decay_step=3), "did you mean 'decay_steps'"),
        (lambda: fastnn.EarlyStopping(patiance=3), r"EarlyStopping\(\) has no argument 'patiance'; did you mean"),
        (lambda: fastnn.initializers.RandomNormal(std=1), "did you mean 'stddev'"),
        (lambda: fastnn.MLPClassifier(hidden_layers=(3,)), r"MLPClassifier\(\) has no argument .hidden_layers.; did"),
        (lambda: fastnn.MLPRegressor(max_iters=3), r"did you mean 'max_iter'"),
        (lambda: Sequential(nam="a"), r"Sequential\(\) has no argument 'nam'; did you mean 'name'\?"),
        (
            lambda: Sequential().compile(optimiser="adam"),
            r"Sequential.compile\(\) has no argument 'optimiser'; did you",
        ),
        (lambda: Sequential().fit(X, Y, epoch=3), r"Sequential.fit\(\) has no argument 'epoch'; did you mean 'epochs'"),
        (lambda: Sequential().save(path="x"), "did you mean 'filepath'"),
    ],
)
def test_misspelt_arguments(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(), r"^Dense\(\): missing a required argument: 'units'"),
        (
            lambda: Dense(1, "relu", True, "zeros", "zeros", None, None),
            r"^Dense\(\): too many positional arguments; give",
        ),
        (lambda: Dropout(0.5, None), r"^Dropout\(\): too many positional"),  # Keras' second is noise_shape
        (lambda: Flatten("channels_last"), r"^Flatten\(\): too many positional"),
        (lambda: losses.CategoricalCrossentropy(False, 0.0, -1), r"^CategoricalCrossentropy\(\): too many positional"),
        (lambda: fastnn.initializers.GlorotUniform(1, 2), r"^GlorotUniform\(\): too many"),
        (lambda: Sequential().compile("sgd", "mse", None, None), r"^Sequential.compile\(\): too many"),
        (lambda: Sequential().add(), r"^Sequential.add\(\): missing a required argument: 'layer'"),
        (lambda: Sequential().summary(1, 2, 3), r"^Sequential.summary\(\): too many"),
        (lambda: Sequential(name=3), "name must be a string; got 3"),
    ],
)
def test_calls_that_do_not_fit_name_what_the_user_called(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.filterwarnings("ignore:the argument:FutureWarning")
def test_an_argument_in_two_spellings():
    with pytest.raises(TypeError, match="an old spelling and 'units' are the same; give one"):
        Dense(units=3, output_dim=3)
    assert Dense(output_dim=3).units == 3


def test_signatures_show_what_fastnn_has():
    assert list(inspect.signature(Dense).parameters)[:2] == ["units", "activation"]
    assert "kernel_constraint" not in inspect.signature(Dense).parameters
    assert "epochs" in inspect.signature(Sequential.fit).parameters


def test_a_type_error_within_a_constructor_is_left_alone():
    with pytest.raises(TypeError, match="momentum must be a number"):
        optimizers.SGD(momentum="much")


def test_losses_in_a_list_and_metrics_in_lists():
    model = Sequential([Input((3,)), Dense(1, "sigmoid")])
    model.compile("sgd", ["mse"], [["accuracy"], "mae", ["mae", metrics.MeanAbsoluteError()]])
    assert model.loss.name == "mean_squared_error"
    assert model.metrics_names == ["loss", "accuracy", "mae", "mae_1", "mean_absolute_error"]
    history = model.fit(X, Y, verbose=0).history
    assert history["mae"] == history["mae_1"] == history["mean_absolute_error"]
    values = model.evaluate(X, Y, verbose=0)
    assert len(values) == 5
    assert values[2] == values[3]
    with pytest.raises(ValueError, match="loss: a model has one output, and takes one loss; got 2"):
        model.compile("sgd", ["mse", "mae"])


def test_numbering_leaves_the_users_metric_alone():
    mine = metrics.MeanSquaredError()
    found = metrics.get_list([mine, mine])
    assert [metric.name for metric in found] == ["mean_squared_error", "mean_squared_error_1"]
    assert found[0] is mine
    assert mine.name == "mean_squared_error"
    with pytest.raises(ValueError, match="the name 'loss' is that of the loss"):
        metrics.get_list([metrics.MeanSquaredError(name="loss")])


@pytest.mark.parametrize("validation", [{}, {"validation_split": 0.25}])
def test_no_epochs(validation):
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    before, said = model.get_weights(), []
    watch = fastnn.LambdaCallback(
        on_train_begin=lambda logs: said.append("b"), on_train_end=lambda logs: said.append("e")
    )
    history = model.fit(X, Y, epochs=0, verbose=0, callbacks=[watch], **validation)
    assert (history.history, history.epoch, said) == ({}, [], ["b", "e"])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.fit(X, Y, epochs=1, verbose=0)
    assert not np.array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    "rate", [0, 0.0, schedules.PiecewiseConstantDecay([100], [0.0, 0.1]), schedules.ExponentialDecay(0.0, 10, 0.5)]
)
def test_a_learning_rate_of_zero_changes_nothing(rate):
    model = Sequential([Input((3,)), Dense(1)])
    model.compile(optimizers.Adam(rate), "mse")
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.optimizer.learning_rate  # noqa: B018 - can be read


def test_a_checkpoint_makes_its_folder(tmp_path):
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    checkpoint = fastnn.ModelCheckpoint(tmp_path / "new" / "{epoch}" / "model")
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[checkpoint])
    assert (tmp_path / "new" / "2" / "model").is_file()
    with pytest.raises(FileNotFoundError):  # as Keras: only checkpoints make folders
        model.save(tmp_path / "other" / "model")


def test_slopes_of_activation_functions():
    np.testing.assert_array_equal(fastnn.activations.leaky_relu([-2.0, 2.0], negative_slope=0.5), [-1.0, 2.0])
    np.testing.assert_array_equal(fastnn.activations.relu([-2.0, 2.0], negative_slope=0.0, max_value=None), [0.0, 2.0])
    with pytest.raises(TypeError, match="relu has no parameter; fastnn has leaky_relu"):
        fastnn.activations.relu([-2.0], negative_slope=0.1)
    with pytest.raises(TypeError, match="fastnn has no max_value=6"):
        fastnn.activations.relu([-2.0], max_value=6)
