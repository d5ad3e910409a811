"""The oracle itself, against facts that do not come from it: published vectors, central differences, PyTorch."""

import numpy as np
import pytest
from fastnn.kernels import reference
from fastnn.kernels.codes import ACTIVATIONS, LOSSES

SMOOTH = [name for name in ACTIVATIONS if name != "step"]
SGD, MOMENTUM, NESTEROV = (0.1, 0.0, 0.0, 0.0, 0.0, 0.0), (0.1, 0.9, 0.0, 0.0, 0.0, 0.0), (0.1, 0.9, 0.0, 0.0, 0.0, 1.0)


def central_difference(function, array, step=1e-6):
    """Gradient of a function of no arguments with respect to the entries of an array that it reads."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        gradient[index] = (above - function()) / (2.0 * step)
        array[index] = kept
    return gradient


# Known answers of the Random123 library (kat_vectors, philox4x32 with 10 rounds).
@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_known_answers(counter, key, words):
    counter, key, words = ([int(word, 16) for word in text.split()] for text in (counter, key, words))
    assert reference.philox4x32(counter, key).tolist() == words
    assert reference.philox4x32([counter, counter], key).tolist() == [words, words]


def test_permutation_is_one_and_depends_on_seed_and_epoch():
    orders = [reference.permutation(100, *pair).tolist() for pair in ((1, 0), (2, 0), (1, 1), (1 + 2**32, 0), (1, 0))]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert orders[0] == orders[4]
    assert len({tuple(order) for order in orders}) == 4
    assert reference.permutation(1, 0, 0).tolist() == [0]


def test_permutations_are_uniform():
    counts = np.zeros((4, 4))
    for epoch in range(2400):
        counts[range(4), reference.permutation(4, 7, epoch)] += 1
    assert ((counts - 600) ** 2 / 600).sum() < 28  # chi-squared with 9 degrees of freedom: 1 in 1000


def test_dropout_mask():
    mask = reference.dropout_mask(300, 50, 0.25, seed=3, op=1, step=4)
    assert set(np.unique(mask)) == {0.0, 1.0 / 0.75}
    assert mask.mean() == pytest.approx(1.0, abs=0.02)
    assert (reference.dropout_mask(7, 50, 0.25, seed=3, op=1, step=4) == mask[:7]).all()
    for other in ({"seed": 4}, {"op": 2}, {"step": 5}):
        assert (reference.dropout_mask(300, 50, 0.25, **{"seed": 3, "op": 1, "step": 4} | other) != mask).mean() > 0.3
    assert (reference.dropout_mask(3, 5, 0.0, seed=3, op=1, step=4) == 1.0).all()


def test_streams_lie_where_they_are_said_to():
    seed = 3 + 5 * 2**32
    words = reference.philox4x32([[1, 6, 4, 3], [0, 0, 9, 0]], (3, 5))
    kept = reference.dropout_mask(7, 8, 0.25, seed, op=2, step=4)[6, 4:] > 0.0
    assert kept.tolist() == (words[0] >= 2**30).tolist()
    order = [0, 1, 2, 3]
    for i in (3, 2, 1):
        j = int(words[1, i]) * (i + 1) // 2**32
        order[i], order[j] = order[j], order[i]
    assert reference.permutation(4, seed, epoch=9).tolist() == order


@pytest.mark.parametrize("name", SMOOTH)
def test_activation_gradients(rng, name):
    z, dy = 2.0 * rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    given = reference.activation_gradient(name, z, 0.3, dy)
    slopes = central_difference(lambda: np.sum(dy * reference.activation(name, z, 0.3)), z)
    np.testing.assert_allclose(given, slopes, rtol=1e-7, atol=1e-8)


def test_softmax_ignores_a_shift_and_sums_to_one(rng):
    z = rng.normal(size=(3, 6))
    y = reference.activation("softmax", z)
    np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(reference.activation("softmax", z + 1000.0), y, rtol=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_activations_are_pytorchs(rng, name):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = {
        "linear": lambda z: z,
        "softmax": lambda z: functional.softmax(z, dim=-1),
        "leaky_relu": lambda z: functional.leaky_relu(z, 0.3),
        "elu": lambda z: functional.elu(z, 0.3),
        "exponential": torch.exp,
    }
    z = 3.0 * rng.normal(size=(5, 7))
    function = theirs.get(name, getattr(functional, name, None)) or pytest.skip(f"PyTorch has no {name}")
    expected = function(torch.tensor(z)).numpy()
    np.testing.assert_allclose(reference.activation(name, z, 0.3), expected, rtol=1e-12, atol=1e-15)


def test_step_fires_on_a_positive_sum():
    assert reference.activation("step", [-1.0, 0.0, 1e-9]).tolist() == [0.0, 0.0, 1.0]


def loss_case(rng, name):
    """Targets and outputs that suit a loss: probabilities or logits, one-hot rows or class numbers."""
    output = rng.normal(size=(6, 4))
    if name.endswith("crossentropy"):
        output = reference.activation("sigmoid", output)  # rows that do not sum to 1
    classes = rng.integers(0, 4, (6, 1))
    if name.startswith("sparse"):
        return classes.astype(np.float64), output
    if name in ("poisson", "poisson_deviance"):
        return rng.poisson(1.5, (6, 4)).astype(np.float64), np.exp(output)
    return (np.eye(4)[classes[:, 0]] if name.startswith("categorical") else rng.uniform(size=(6, 4))), output


OPTIONS = {
    "huber": {"delta": 0.6},
    "quantile": {"levels": [0.1, 0.8]},
    "binary_crossentropy": {"label_smoothing": 0.2},
    "sparse_categorical_crossentropy": {"label_smoothing": 0.2},
    "binary_focal_crossentropy": {"gamma": 1.5, "alpha": 0.3, "apply_class_balancing": True, "label_smoothing": 0.1},
    "categorical_focal_crossentropy": {"gamma": 0.7, "alpha": [0.3, 0.2, 0.1, 0.4], "label_smoothing": 0.1},
}


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_gradients(rng, name, given):
    target, output = loss_case(rng, name)
    options = OPTIONS.get(name.removesuffix("_from_logits"), {}) if given else {}
    slopes = central_difference(lambda: reference.loss(name, target, output, **options).sum(), output)
    gradient = reference.loss_gradient(name, target, output, **options)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8)


def test_losses_are_pytorchs(rng):
    torch = pytest.importorskip("torch")
    functional, z, t = torch.nn.functional, rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    labels, counts = rng.integers(0, 4, 6), rng.poisson(1.5, (6, 4))
    hits = rng.integers(0, 2, (6, 4)).astype(np.float64)

    def agree(name, target, value, **options):
        assert reference.loss(name, target, z, **options).mean() == pytest.approx(value.item(), rel=1e-12)

    logits, target = torch.tensor(z), torch.tensor(t)
    agree("huber", t, functional.huber_loss(logits, target, delta=0.6), delta=0.6)
    agree("mean_absolute_error", t, functional.l1_loss(logits, target))
    smooth = functional.cross_entropy(logits, torch.tensor(labels), label_smoothing=0.2)
    for name, truth in (("sparse_categorical", labels[:, None]), ("categorical", np.eye(4)[labels])):
        agree(f"{name}_crossentropy_from_logits", truth, smooth, label_smoothing=0.2)
    hit = torch.tensor(hits)
    smooth = functional.binary_cross_entropy_with_logits(logits, 0.8 * hit + 0.1)
    agree("binary_crossentropy_from_logits", hits, smooth, label_smoothing=0.2)
    agree("poisson_from_logits", counts, functional.poisson_nll_loss(logits, torch.tensor(counts)))


def test_quantile_loss_is_least_at_the_quantile(rng):
    y, levels = rng.normal(size=(999, 1)), [0.25, 0.8]
    best = np.quantile(y, levels)
    least = reference.loss("quantile", y, np.tile(best, (999, 1)), levels=levels).mean()
    for shift in ([0.01, 0.0], [-0.01, 0.0], [0.0, 0.01], [0.0, -0.01]):
        assert reference.loss("quantile", y, np.tile(best + shift, (999, 1)), levels=levels).mean() > least


def test_focal_losses_without_focus_are_crossentropies(rng):
    for name, options in (("binary", {}), ("categorical", {"alpha": 1.0}), ("sparse_categorical", {"alpha": 1.0})):
        for suffix in ("", "_from_logits"):
            target, output = loss_case(rng, f"{name}_crossentropy{suffix}")
            plain = reference.loss(f"{name}_crossentropy{suffix}", target, output)
            focal = reference.loss(f"{name}_focal_crossentropy{suffix}", target, output, gamma=0.0, **options)
            np.testing.assert_allclose(focal, plain, rtol=1e-12)


def test_sparse_and_one_hot_losses_agree(rng):
    for suffix in ("", "_from_logits"):
        target, output = loss_case(rng, "sparse_categorical_crossentropy" + suffix)
        one_hot = np.eye(4)[target[:, 0].astype(int)]
        for function in (reference.loss, reference.loss_gradient):
            sparse = function("sparse_categorical_crossentropy" + suffix, target, output)
            np.testing.assert_array_equal(sparse, function("categorical_crossentropy" + suffix, one_hot, output))


def test_losses_on_logits_agree_with_those_on_probabilities(rng):
    z = rng.normal(size=(6, 4))
    for name, activation in (("binary_crossentropy", "sigmoid"), ("categorical_crossentropy", "softmax")):
        target, _ = loss_case(rng, name)
        on_logits = reference.loss(name + "_from_logits", target, z)
        np.testing.assert_allclose(on_logits, reference.loss(name, target, reference.activation(activation, z)))
    assert reference.loss("binary_crossentropy_from_logits", [[0.0]], np.array([[1000.0]])) == 1000.0
    assert reference.loss("categorical_crossentropy_from_logits", [[0.0, 1.0]], np.array([[1000.0, 0.0]])) == 1000.0


def test_clipped_probabilities():
    p = np.array([[0.0], [1.0]])
    np.testing.assert_allclose(reference.loss("binary_crossentropy", 1.0 - p, p), -np.log(1e-7), rtol=1e-8)
    assert (reference.loss_gradient("binary_crossentropy", 1.0 - p, p) == 0.0).all()


def test_metrics():
    y = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    assert reference.metric("categorical_accuracy", [[0, 1, 0], [0, 1, 0]], y).tolist() == [1.0, 0.0]
    assert reference.metric("sparse_categorical_accuracy", [[1], [0]], y).tolist() == [1.0, 1.0]
    assert reference.metric("binary_accuracy", [[0.0], [1.0], [1.0]], np.array([[0.5], [0.51], [0.5]])).tolist() == [
        1,
        1,
        0,
    ]
    assert reference.metric("mean_absolute_error", [[0.2, 1.0, 0.1]], y[:1]) == pytest.approx(0.1)


def network(rng, *layers, inputs=5):
    """Random weights in Keras' order for a list of layers, given as (kind, settings) with units for dense ones."""
    weights, declared = [], []
    for kind, settings in layers:
        if kind == "dense":
            units = settings.pop("units")
            weights.append(rng.normal(size=(inputs, units)) / np.sqrt(inputs))
            weights += [0.1 * rng.normal(size=units)] if settings.get("use_bias", True) else []
            inputs = units
        declared.append({"kind": kind, **settings})
    return declared, weights


@pytest.mark.parametrize("last", [("sigmoid", "binary_crossentropy"), ("softmax", "categorical_crossentropy"),
                                  ("linear", "mean_squared_error"), ("tanh", "mean_absolute_error")])  # fmt: skip
def test_gradients_of_whole_models(rng, last):
    activation, loss = last
    layers, weights = network(
        rng,
        ("dense", {"units": 7, "activation": "gelu", "l2": 0.02}),
        ("dropout", {"rate": 0.3}),
        ("dense", {"units": 6, "use_bias": False}),
        ("activation", {"activation": "elu", "alpha": 0.7}),
        ("dense", {"units": 4, "activation": activation, "l2": 0.01}),
    )
    x, target, sample_weights = rng.normal(size=(6, 5)), loss_case(rng, loss)[0], rng.uniform(0.5, 2.0, 6)

    def value_and_gradients():
        return reference.loss_and_gradients(layers, weights, loss, x, target, sample_weights, seed=1, step=2)

    gradients = value_and_gradients()[1]
    assert [g.shape for g in gradients] == [w.shape for w in weights]
    for gradient, array in zip(gradients, weights, strict=True):
        slopes = central_difference(lambda: value_and_gradients()[0], array)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("optimizer", "hyperparameters", "theirs", "options"),
    [
        ("sgd", SGD, "SGD", {"lr": 0.1}),
        ("sgd", MOMENTUM, "SGD", {"lr": 0.1, "momentum": 0.9}),
        ("sgd", NESTEROV, "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        # PyTorch adds epsilon in other places: the same step only as epsilon goes to 0
        ("rmsprop", (0.01, 0, 0.9, 1e-30, 0, 0), "RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-20}),
        (
            "rmsprop",
            (0.01, 0.5, 0.9, 1e-30, 0, 0),
            "RMSprop",
            {"lr": 0.01, "alpha": 0.9, "eps": 1e-20, "momentum": 0.5},
        ),
        ("adam", (0.01, 0.9, 0.999, 1e-20, 0, 0), "Adam", {"lr": 0.01, "eps": 1e-20}),
        ("adamw", (0.01, 0.9, 0.999, 1e-20, 0.1, 0), "AdamW", {"lr": 0.01, "eps": 1e-20, "weight_decay": 0.1}),
    ],
)
def test_training_is_pytorchs(rng, optimizer, hyperparameters, theirs, options):
    torch = pytest.importorskip("torch")
    layers, weights = network(
        rng, ("dense", {"units": 8, "activation": "tanh", "l2": 0.01}), ("dense", {"units": 3, "activation": "softmax"})
    )
    x, y = rng.normal(size=(23, 5)), rng.integers(0, 3, (23, 1)).astype(np.float64)
    trained, logs = reference.train(
        layers, weights, "sparse_categorical_crossentropy", optimizer, hyperparameters, x, y,
        batch_size=10, epochs=4, seed=5, metrics=("sparse_categorical_accuracy",),
    )  # fmt: skip

    kernel_1, bias_1, kernel_2, bias_2 = parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    step = getattr(torch.optim, theirs)(parameters, **options)
    inputs, classes = torch.tensor(x), torch.tensor(y[:, 0]).long()
    for epoch in range(4):
        total = hits = 0.0
        for rows in torch.tensor(reference.permutation(23, 5, epoch)).split(10):
            logits = torch.tanh(inputs[rows] @ kernel_1 + bias_1) @ kernel_2 + bias_2
            value = torch.nn.functional.cross_entropy(logits, classes[rows]) + 0.01 * (kernel_1**2).sum()
            step.zero_grad()
            value.backward()
            step.step()
            total += value.item() * len(rows)
            hits += (logits.argmax(dim=1) == classes[rows]).sum().item()
        assert logs[epoch] == pytest.approx([total / 23, hits / 23], rel=1e-10)
    for ours, expected in zip(trained, parameters, strict=True):
        np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_adam_epsilon_is_keras():
    """Keras: step = lr * sqrt(1 - b2) / (1 - b1) * m / (sqrt(v) + epsilon), by hand for the first step."""
    w, g = np.array([1.0]), np.array([1e-6])
    reference.optimizer_step("adam", (0.1, 0.9, 0.999, 1e-7, 0.0, 0.0), w, g, {})
    m, v = 0.1 * 1e-6, 0.001 * 1e-12
    assert w[0] == pytest.approx(1.0 - 0.1 * 0.001**0.5 / 0.1 * m / (v**0.5 + 1e-7), rel=1e-12)


def test_rmsprop_epsilon_is_keras():
    w, g = np.array([1.0]), np.array([1e-4])
    reference.optimizer_step("rmsprop", (0.1, 0.0, 0.9, 1e-7, 0.0, 0.0), w, g, {})
    assert w[0] == pytest.approx(1.0 - 0.1 * 1e-4 / (0.1 * 1e-8 + 1e-7) ** 0.5, rel=1e-12)


def test_training_in_two_parts_is_training_in_one(rng):
    layers, weights = network(
        rng, ("dense", {"units": 6, "activation": "relu"}), ("dropout", {"rate": 0.4}), ("dense", {"units": 1})
    )
    x, y, sample_weights = rng.normal(size=(17, 5)), rng.normal(size=(17, 1)), rng.uniform(size=17)
    fixed = (layers, weights, "mean_squared_error", "adam", (0.01, 0.9, 0.999, 1e-7, 0.0, 0.0), x, y)
    options = {"batch_size": 4, "seed": 2**40 + 1, "sample_weights": sample_weights}
    whole, logs = reference.train(*fixed, **options, epochs=3)
    state = {}
    first, _ = reference.train(*fixed, **options, epochs=1, state=state)
    rest, later = reference.train(layers, first, *fixed[2:], **options, epochs=2, first_epoch=1, state=state)
    np.testing.assert_array_equal(logs[1:], later)
    for ours, expected in zip(rest, whole, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert state["step"] == 15


def test_dropout_follows_the_steps_done(rng):
    layers, weights = network(rng, ("dropout", {"rate": 0.5, "op": 3}), ("dense", {"units": 2}))
    x, y, expected = rng.normal(size=(6, 5)), rng.normal(size=(6, 2)), [w.copy() for w in weights]
    fixed = ("mean_squared_error", "sgd", SGD, x, y)
    trained, _ = reference.train(layers, weights, *fixed, batch_size=6, epochs=4, shuffle=False, seed=8)
    for step in range(4):
        z = (x * reference.dropout_mask(6, 5, 0.5, seed=8, op=3, step=step)) @ expected[0] + expected[1]
        dz = (z - y) / 6
        expected[0] -= 0.1 * (x * reference.dropout_mask(6, 5, 0.5, seed=8, op=3, step=step)).T @ dz
        expected[1] -= 0.1 * dz.sum(axis=0)
    for ours, theirs in zip(trained, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_row_weight_of_two_is_the_row_twice(rng):
    layers, weights = network(rng, ("dense", {"units": 1, "activation": "sigmoid"}))
    x, y = rng.normal(size=(4, 5)), np.array([[0.0], [1.0], [1.0], [0.0]])
    twice = [0, 1, 1, 2, 3]
    weighted = reference.loss_and_gradients(
        layers, weights, "binary_crossentropy", x, y, np.array([1.0, 2.0, 1.0, 1.0])
    )
    repeated = reference.loss_and_gradients(layers, weights, "binary_crossentropy", x[twice], y[twice])
    assert 4 * weighted[0] == pytest.approx(5 * repeated[0])
    np.testing.assert_allclose(4 * weighted[1][0], 5 * repeated[1][0])
