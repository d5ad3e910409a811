"""What a model does costs in proportion to the number of its layers."""

import sys

import numpy as np
import pytest

from fastnn import Dense, MLPClassifier, Sequential, load_model

X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def model(layers):
    stack = Sequential([Dense(4, "tanh", input_shape=(4,)), *(Dense(4, "tanh") for _ in range(layers - 1))])
    stack.compile("adam", "mse")
    stack.fit(X, X, verbose=0)
    return stack


def reload(stack, path):
    stack.save(path / "model")
    return load_model(path / "model")


WORK = {
    "made and fitted": lambda stack, layers, path: model(layers),
    "trained on a batch": lambda stack, layers, path: stack.train_on_batch(X, X),
    "predicted and evaluated": lambda stack, layers, path: (stack.predict(X), stack.evaluate(X, X, verbose=0)),
    "weights": lambda stack, layers, path: stack.set_weights(stack.get_weights()),
    "trainable weights": lambda stack, layers, path: (stack.trainable_weights, stack.non_trainable_weights),
    "weights by layer": lambda stack, layers, path: [each.set_weights(each.get_weights()) for each in stack.layers],
    "saved and loaded": lambda stack, layers, path: reload(stack, path),
    "added and popped": lambda stack, layers, path: (stack.add(Dense(4)), stack.pop(), stack.engine),
    "configuration": lambda stack, layers, path: Sequential.from_config(stack.get_config()),
    "summary": lambda stack, layers, path: (stack.summary(print_fn=len), repr(stack), stack._repr_html_()),
    "classifier": lambda stack, layers, path: MLPClassifier(
        hidden_layer_sizes=(4,) * layers, activation="tanh", max_iter=2, random_state=0
    ).fit(X, Y).predict(X),
}  # fmt: skip


def calls(work):
    """Functions that Python calls for some work: a count that no other process disturbs."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("name", WORK)
def test_cost_by_layers(name, tmp_path):
    """Four times the layers: at most five times the calls; where each layer looked at all others it was sixteen."""
    costs = []
    for layers in (50, 200):
        stack = model(layers)
        WORK[name](stack, layers, tmp_path)  # what is compiled, imported or cached on the way
        costs.append(calls(lambda: WORK[name](stack, layers, tmp_path)))  # noqa: B023
    assert costs[1] < 5 * costs[0]


def test_names_of_many_layers():
    stack = Sequential([Dense(1), Dense(1, name="dense_2"), Dense(1), Dense(1), Dense(1)])
    assert [layer.name for layer in stack.layers] == ["dense", "dense_2", "dense_1", "dense_3", "dense_4"]
    stack.pop(), stack.pop()
    stack.layers[2].name = "other"
    stack.add(Dense(1)), stack.add(Dense(1))
    assert [layer.name for layer in stack.layers] == ["dense", "dense_2", "other", "dense_1", "dense_3"]
    with pytest.raises(ValueError, match="the name 'other' is taken"):
        stack.add(Dense(1, name="other"))


def test_weights_of_one_layer():
    """Those of the others stay, and rows of padding too."""
    stack = Sequential([Dense(3, "relu", input_shape=(4,)), Dense(5), Dense(2)])
    twin = stack.layers[1].copy()
    before = stack.predict(X)
    stack.layers[1].set_weights([2 * weight for weight in twin.get_weights()])
    for ours, theirs in zip(stack.layers[1].get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, 2 * theirs)
    stack.layers[1].set_weights(twin.get_weights())
    np.testing.assert_array_equal(stack.predict(X), before)
