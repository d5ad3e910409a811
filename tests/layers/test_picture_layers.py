"""Layers of pictures as users of Keras see them: arguments, shapes, weights, configurations, errors, old spellings."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from fastnn.kernels.host import cpu

from fastnn import Sequential, layers, load_model
from fastnn.common import identifiers
from fastnn.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Flatten,
    Input,
    convolution,
    depthwise,
    dropout,
    pooling,
    resizing,
)
from fastnn.layers.convolution import Conv1D, Conv2D, Conv2DTranspose, Convolution2D
from fastnn.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from fastnn.layers.dropout import SpatialDropout2D
from fastnn.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from fastnn.layers.resizing import UpSampling2D, ZeroPadding2D
from fastnn.lowering.lower import lower

# The arguments of Keras 3.15.1 and their defaults.
KERAS = json.loads((Path(__file__).parent / "keras_picture_layers.json").read_text())
REQUIRED = {"filters": 4, "kernel_size": 3, "pool_size": 2, "rate": 0.5}
MODULES = (convolution, depthwise, pooling, resizing, dropout)


def named(name):
    (found,) = [getattr(module, name) for module in MODULES if getattr(module, name, None)]
    return found


def given(name):
    return {key: REQUIRED[key] for key, default in KERAS[name].items() if default == "<required>"}


@pytest.mark.parametrize("name", KERAS)
def test_arguments_of_keras(name):
    make, keras = named(name), KERAS[name]
    layer = make(**keras | given(name))
    assert layer.get_config() == make(**given(name)).get_config()
    parameters = inspect.signature(make).parameters
    by_position = [key for key, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert by_position == [key for key in keras if key in by_position]
    assert by_position == list(keras)[: len(by_position)]
    for lacking in keras.keys() - parameters.keys():
        with pytest.raises(TypeError, match=f"{name}\\(\\): fastnn has no {lacking}='odd'"):
            make(**given(name), **{lacking: "odd"})


# Layer, shape of a row of the input, that of the output, and those of the weights, as Keras 3.15.1 has them.
SHAPES = [
    (Conv2D(32, 3), (28, 28, 1), (26, 26, 32), [(3, 3, 1, 32), (32,)]),
    (Conv2D(32, (5, 5), padding="Same"), (28, 28, 1), (28, 28, 32), [(5, 5, 1, 32), (32,)]),
    (Conv2D(5, 3, 2, "SAME"), (5, 7, 3), (3, 4, 5), [(3, 3, 3, 5), (5,)]),
    (Conv2D(5, (2, 5), (1, 2)), (5, 7, 3), (4, 2, 5), [(2, 5, 3, 5), (5,)]),
    (Conv2D(5, 3, dilation_rate=(1, 3)), (28, 13, 3), (26, 7, 5), [(3, 3, 3, 5), (5,)]),
    (Conv2D(5, 1, 2, use_bias=False), (1, 1, 3), (1, 1, 5), [(1, 1, 3, 5)]),
    (Conv1D(5, 3, padding="causal", strides=2), (7, 3), (4, 5), [(3, 3, 5), (5,)]),
    (Conv1D(5, 3, dilation_rate=2), (13, 3), (9, 5), [(3, 3, 5), (5,)]),
    (Conv2DTranspose(8, 3, 2, "same"), (12, 12, 16), (24, 24, 8), [(3, 3, 8, 16), (8,)]),
    (Conv2DTranspose(5, 3, 2), (5, 7, 3), (11, 15, 5), [(3, 3, 5, 3), (5,)]),
    (Conv2DTranspose(5, 2, 3), (5, 7, 3), (15, 21, 5), [(2, 2, 5, 3), (5,)]),
    (Conv2DTranspose(5, 3, dilation_rate=2), (5, 7, 3), (9, 11, 5), [(3, 3, 5, 3), (5,)]),
    (Conv2DTranspose(2, 3, 2, "same", (1, 0)), (5, 7, 3), (10, 13, 2), [(3, 3, 2, 3), (2,)]),
    (Conv2DTranspose(2, 4, 3, "valid", 1), (5, 7, 3), (17, 23, 2), [(4, 4, 2, 3), (2,)]),
    (DepthwiseConv2D(3, 2, "same"), (112, 112, 64), (56, 56, 64), [(3, 3, 64, 1), (64,)]),
    (DepthwiseConv2D((2, 5), depth_multiplier=2), (5, 7, 3), (4, 3, 6), [(2, 5, 3, 2), (6,)]),
    (SeparableConv2D(16, 3, depth_multiplier=2), (14, 14, 8), (12, 12, 16), [(3, 3, 8, 2), (1, 1, 16, 16), (16,)]),
    (MaxPooling2D(), (28, 13, 3), (14, 6, 3), []),
    (MaxPooling2D(2, 2), (5, 7, 3), (2, 3, 3), []),
    (MaxPooling2D([3, 2], 1, "same"), (5, 7, 3), (5, 7, 3), []),
    (MaxPooling2D(3, padding="same"), (28, 13, 3), (10, 5, 3), []),
    (AveragePooling2D((2, 5), (1, 2)), (5, 7, 3), (4, 2, 3), []),
    (MaxPooling1D(3), (13, 3), (4, 3), []),
    (AveragePooling1D(2, 1, "same"), (13, 3), (13, 3), []),
    (GlobalAveragePooling2D(), (5, 7, 3), (3,), []),
    (GlobalMaxPooling2D(keepdims=True), (5, 7, 3), (1, 1, 3), []),
    (GlobalAveragePooling1D(keepdims=True), (7, 3), (1, 3), []),
    (GlobalMaxPooling1D(), (7, 3), (3,), []),
    (ZeroPadding2D(), (5, 7, 3), (7, 9, 3), []),
    (ZeroPadding2D(2), (5, 7, 3), (9, 11, 3), []),
    (ZeroPadding2D((1, 3)), (5, 7, 3), (7, 13, 3), []),
    (ZeroPadding2D(((0, 1), [3, 4])), (5, 7, 3), (6, 14, 3), []),
    (UpSampling2D(), (5, 7, 3), (10, 14, 3), []),
    (UpSampling2D((2, 3)), (5, 7, 3), (10, 21, 3), []),
    (SpatialDropout2D(0.2), (5, 7, 3), (5, 7, 3), []),
]


@pytest.mark.parametrize(("layer", "shape", "output", "weights"), SHAPES)
def test_shapes(layer, shape, output, weights):
    layer = layer.copy()
    assert layer.compute_output_shape((None, *shape)) == (None, *output)
    layer.build((None, *shape))
    assert layer.output_shape == (None, *output)
    assert [weight.shape for weight in layer.get_weights()] == weights
    assert layer.count_params() == sum(np.prod(shape) for shape in weights)


@pytest.mark.parametrize("layer", [layer for layer, *_ in SHAPES])
def test_configuration_makes_an_equal_layer(layer):
    config = json.loads(json.dumps(layer.get_config()))
    assert config == layer.get_config()
    again = layers.get({"class_name": type(layer).__name__, "config": config})
    assert type(again) is type(layer)
    assert again.get_config() == type(layer).from_config(config).get_config() == layer.get_config()


@pytest.mark.parametrize("name", KERAS)
def test_names_are_those_of_keras(name):
    snake = {"Conv1D": "conv1d", "Conv2D": "conv2d", "SpatialDropout2D": "spatial_dropout2d"}
    kind = named(name)(**given(name)).name
    assert kind.replace("_", "") == name.lower()
    assert kind == snake.get(name, kind)
    assert not kind[-3].isupper()
    assert kind[-3] != "_"  # max_pooling2d
    assert layers.get({"class_name": name, "config": given(name)}).kind == kind


def test_other_names_of_the_same():
    assert pooling.MaxPool2D is MaxPooling2D
    assert pooling.MaxPool1D is MaxPooling1D
    assert pooling.AvgPool2D is AveragePooling2D
    assert pooling.AvgPool1D is AveragePooling1D
    assert pooling.GlobalAvgPool2D is GlobalAveragePooling2D
    assert pooling.GlobalAvgPool1D is GlobalAveragePooling1D
    assert pooling.GlobalMaxPool2D is GlobalMaxPooling2D
    assert pooling.GlobalMaxPool1D is GlobalMaxPooling1D
    assert convolution.Convolution1D is Conv1D
    assert convolution.Convolution2DTranspose is Conv2DTranspose
    assert depthwise.SeparableConvolution2D is SeparableConv2D
    assert isinstance(Convolution2D(3, 3), Conv2D)


def small():
    return Sequential(
        [
            Conv2D(32, 3, padding="same", use_bias=False, kernel_initializer="he_normal", input_shape=(28, 28, 1)),
            BatchNormalization(axis=3),
            Activation("relu"),
            MaxPooling2D(),
            SpatialDropout2D(0.2),
            Conv2D(16, 3, activation="relu", kernel_regularizer="l2"),
            MaxPooling2D(2, 2),
            Flatten(),
            Dense(10, "softmax"),
        ]
    )


def test_a_model_of_pictures(tmp_path):
    model, text = small(), []
    model.summary(print_fn=text.append)
    lines = "".join(text)
    for part in ("(None, 28, 28, 32)", "(None, 12, 12, 16)", "(None, 576)", "conv2d_1 (Conv2D)", "max_pooling2d_1"):
        assert part in lines
    assert [layer.count_params() for layer in model.layers] == [288, 128, 0, 0, 0, 4624, 0, 0, 5770]
    assert list(model.weight_shapes())[:2] == ["conv2d/kernel", "batch_normalization/gamma"]
    assert model.layers[0].bias is None
    assert model.layers[5].kernel.shape == (3, 3, 32, 16)
    assert model.layers[5].kernel_regularizer.l2 == 0.01
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.get_config() == model.get_config()
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (UpSampling2D(), "layer 'up_sampling2d' is of a kind that no kernel computes"),
        (Conv2DTranspose(3, 3), "layer 'conv2d_transpose' is of a kind that no kernel computes"),
        (BatchNormalization(), "normalizes channels of inputs of shape .*put a Flatten"),
        (Conv2D(3, 3, activation="softmax"), "'conv2d': a softmax is computed of flat rows"),
    ],
)
def test_no_kernel_computes_them(layer, message):
    model = Sequential([Input((28, 28, 2)), layer, Flatten(), Dense(1)])
    with pytest.raises(ValueError, match=message):
        model.predict(np.zeros((1, 28, 28, 2)))


def test_mixed_precision_is_refused():
    x = np.zeros((1, 8, 8, 1))
    if not cpu.has_bfloat16():
        pytest.skip("this CPU has no AVX512-BF16: NOT TESTED")
    with pytest.raises(ValueError, match="layer 'conv2d' .Conv2D. has no kernel for dtype 'mixed_bfloat16' yet"):
        Sequential([Conv2D(2, 3, input_shape=(8, 8, 1)), Flatten(), Dense(1)], dtype="mixed_bfloat16").predict(x)


def test_gpus_are_refused():
    layers_of_one = [MaxPooling2D(input_shape=(8, 8, 1)), Flatten(), Dense(1)]
    for layer, shape in zip(layers_of_one, [(8, 8, 1), (4, 4, 1), (16,)], strict=True):
        layer.build((None, *shape))
    with pytest.raises(ValueError, match="layer 'max_pooling2d' .MaxPooling2D. has no kernel for GPUs yet"):
        lower(layers_of_one, 64, device="cuda")


def test_weights_of_a_separable_convolution():
    layer = SeparableConv2D(16, 3, depthwise_initializer="ones", pointwise_initializer="zeros", bias_initializer="ones")
    with pytest.raises(AttributeError, match="has no depthwise_kernel yet"):
        _ = layer.depthwise_kernel
    layer.build((None, 8, 8, 4))
    assert list(layer.weight_shapes) == ["depthwise_kernel", "pointwise_kernel", "bias"]
    assert (layer.depthwise_kernel == 1).all()
    assert (layer.pointwise_kernel == 0).all()
    assert (layer.bias == 1).all()
    with pytest.raises(AttributeError, match="has no kernel: it has depthwise_kernel, pointwise_kernel, bias"):
        _ = layer.kernel


def test_a_layer_with_weights_changes_only_what_fits_them():
    layer = Conv2D(4, 3, input_shape=(8, 8, 1))
    Sequential([layer])
    layer.activation = "relu"
    assert layer.activation.name == "relu"
    with pytest.raises(AttributeError, match="do not fit filters=5"):
        layer.filters = 5
    with pytest.raises(AttributeError, match="do not fit padding='same'"):
        layer.padding = "same"
    for name in ("rank", "window", "paddings", "kernels", "kind"):
        with pytest.raises(AttributeError, match=f"{name} of the layer 'conv2d' cannot be set"):
            setattr(layer, name, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 3), "filters must be an integer >= 1; got 0"),
        (lambda: Conv2D(3, (3, 3, 3)), r"kernel_size must be one integer, or 2, one for each of \(height, width\)"),
        (lambda: Conv2D(3, (3, 0)), "every number of kernel_size must be an integer >= 1; got 0"),
        (lambda: Conv2D(3, "33"), "every number of kernel_size must be an integer >= 1; got '33'"),
        (lambda: Conv1D(3, (3, 3)), r"kernel_size must be one integer, or 1, one for each of \(steps,\)"),
        (lambda: Conv2D(3, 3, 0), "every number of strides must be an integer >= 1"),
        (lambda: Conv2D(3, 3, dilation_rate=0.5), "every number of dilation_rate must be an integer >= 1"),
        (lambda: Conv2D(3, 3, 2, dilation_rate=2), r"do not go together; got strides=\(2, 2\) and dilation_rate=\(2"),
        (lambda: Conv2DTranspose(3, 3, 2, dilation_rate=2), "do not go together"),
        (lambda: Conv2D(3, 3, padding="causal"), "padding must be 'valid' or 'same'; got 'causal'"),
        (lambda: Conv1D(3, 3, padding="full"), "padding must be 'valid' or 'same' or 'causal'; got 'full'"),
        (lambda: MaxPooling2D(padding=1), "padding must be 'valid' or 'same'; got 1"),
        (lambda: Conv2D(4, 3, groups=2), "groups must be 1; got 2"),
        (lambda: Conv2D(4, 3, data_format="channels_first"), r"x\.transpose\(0, 2, 3, 1\)"),
        (lambda: GlobalMaxPooling1D("channels_first"), r"fastnn has the channels last.*x\.transpose\(0, 2, 1\)"),
        (lambda: MaxPooling2D(data_format="odd"), "data_format must be 'channels_last'; got 'odd'"),
        (lambda: DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier must be an integer >= 1"),
        (lambda: Conv2DTranspose(3, 3, 2, output_padding=2), "output_padding must be less than strides"),
        (lambda: Conv2DTranspose(3, 2, 2, "same", 0).build((None, 1, 1, 3)), "leave output_padding out"),
        (lambda: ZeroPadding2D(-1), "every number of padding must be an integer >= 0"),
        (lambda: ZeroPadding2D((1, 2, 3)), r"padding must be an integer, \(height, width\) or \(\(top, bottom\)"),
        (lambda: UpSampling2D(interpolation="bilinear"), "interpolation must be 'nearest'.*got 'bilinear'"),
        (lambda: SpatialDropout2D(1.0), "rate must be >= 0 and < 1"),
        (
            lambda: Sequential([Input((4, 9, 1)), Conv2D(3, 5)]),
            r"'conv2d' would have no output: its windows span 5 x 5 .* \(None, 4, 9, 1\).*use padding='same'",
        ),
        (lambda: Conv2D(3, 3, dilation_rate=2).build((None, 4, 9, 1)), "its windows span 5 x 5"),
        (lambda: MaxPooling1D(3).build((None, 2, 1)), "its windows span 3 pixels.*a smaller pool_size"),
        (
            lambda: Sequential([Input((28, 28)), Conv2D(3, 5)]),
            r"'conv2d' takes pictures, shape \(None, height, width, channels\);.*28, 28\): x\[\.\.\., None\]",
        ),
        (lambda: MaxPooling2D().build((None, 784)), r"x\.reshape\(-1, height, width, channels\)"),
        (lambda: Conv1D(3, 3).build((None, 9, 9, 1)), r"takes sequences, shape \(None, steps, channels\)"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture
def _fresh_warnings(monkeypatch):
    monkeypatch.setattr(identifiers, "_warned", set())


@pytest.mark.usefixtures("_fresh_warnings")
@pytest.mark.parametrize(
    ("make", "same"),
    [
        (lambda: Convolution2D(32, 3, 2), Conv2D(32, (3, 2))),
        (lambda: Convolution2D(32, 3, 3, border_mode="same", init="uniform"), Conv2D(32, 3, 1, "same",
                                                                                      kernel_initializer="uniform")),
        (lambda: Conv2D(32, 3, 2, border_mode="same"), Conv2D(32, (3, 2), 1, "same")),
        (lambda: Convolution2D(nb_filter=32, nb_row=3, nb_col=2, subsample=(2, 2), bias=False, dim_ordering="tf"),
         Conv2D(32, (3, 2), 2, use_bias=False)),
        (lambda: depthwise.SeparableConvolution2D(32, 3, 3, border_mode="same"), SeparableConv2D(32, 3, 1, "same")),
        (lambda: Conv1D(nb_filter=3, filter_length=2, subsample_length=2), Conv1D(3, 2, 2)),
        (lambda: MaxPooling1D(pool_length=3, stride=2, border_mode="same"), MaxPooling1D(3, 2, "same")),
        (lambda: MaxPooling2D((2, 2), dim_ordering="tf"), MaxPooling2D()),
    ],
)  # fmt: skip
def test_old_spellings(make, same):
    with pytest.warns(FutureWarning, match="is an old spelling of"):
        assert make().get_config() == same.get_config()


def test_todays_spelling_under_the_old_name():
    assert Convolution2D(32, (3, 2)).kernel_size == (3, 2)
    assert Convolution2D(32, 3, strides=2).strides == (2, 2)
    assert Conv2D(32, 3, 2).strides == (2, 2)
    with pytest.raises(ValueError, match="fastnn has the channels last"), pytest.warns(FutureWarning):
        MaxPooling2D(dim_ordering="th")
    with pytest.raises(TypeError, match=r"Conv2D\(\) has no argument 'nb_row'; it takes filters, kernel_size"):
        Conv2D(32, nb_row=3)
    with pytest.raises(TypeError, match="has no argument 'input_dim'; did you mean 'input_shape'"):
        Conv2D(32, 3, input_dim=3)
