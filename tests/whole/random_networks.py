"""Random networks, trained and changed at random beside the oracle; a seed decides everything.

Tests of single subjects fix what they are not about. Here it varies, and one model lives through several trainings, so
state that leaks from one call to the next shows, and programs that are fine alone but not together.
"""

import copy
import pickle
import tempfile

import numpy as np
from fastnn.kernels import reference
from harness import declared_loss, described, random_weight, weight_names

from fastnn import Sequential, layers, load_model, optimizers, utils
from fastnn.common import seeding
from fastnn.regularizers import L2

SMOOTH = ("linear", "sigmoid", "tanh", "softmax", "gelu", "silu", "softplus")
KINKED = ("relu", "leaky_relu", "elu", "selu")
LOSSES = {  # last activations, and metrics of all that go with them
    "mean_squared_error": (("linear", "tanh", "softplus"), ("mean_absolute_error", "log_cosh")),
    "huber": (("linear", "tanh"), ("mean_squared_error",)),
    "log_cosh": (("linear", "sigmoid"), ()),
    "poisson": (("exponential", "softplus"), ("mean_absolute_error",)),
    "binary_crossentropy": (("sigmoid",), ("binary_accuracy",)),
    "binary_crossentropy_from_logits": (("linear",), ()),
    "binary_focal_crossentropy": (("sigmoid",), ("mean_squared_error",)),
    "categorical_crossentropy": (("softmax", "sigmoid"), ("categorical_accuracy", "mean_squared_error")),
    "sparse_categorical_crossentropy": (("softmax",), ("sparse_categorical_accuracy",)),
    "sparse_categorical_crossentropy_from_logits": (("linear",), ()),
    "sparse_categorical_focal_crossentropy": (("softmax",), ("sparse_categorical_accuracy",)),
}
CLIPPING = ({}, {}, {"clipvalue": 0.05}, {"clipnorm": 0.1}, {"global_clipnorm": 0.2})


class Case:
    """A model and what the oracle knows of it.

    Parameters
    ----------
    seed : int
    dtype : {"float32", "float64"}
    threads : int or None
    jit_compile : bool or "auto"
    """

    def __init__(self, seed, dtype, threads, jit_compile="auto"):
        self.rng = np.random.default_rng(seed)
        self.seed, self.dtype, self.threads, self.jit_compile = seed, dtype, threads, jit_compile
        # Float64: rounding of 1e-16, grown in some hundred steps. Float32 is 1e9 times coarser; it gets no kinks, which
        # rounding may take to their other side, and no tiny divisors in its optimizers.
        self.relative = 2e-8 if dtype == "float64" else 3e-3
        utils.set_random_seed(seed)
        self.inputs, self.outputs = self.width(), max(2, self.width())
        self.name = self.choose(list(LOSSES))
        activations, self.metrics = LOSSES[self.name]
        last = layers.Dense(self.outputs, self.choose(activations), kernel_regularizer=self.penalty())
        hidden = [self.layer() for _ in range(self.rng.integers(0, 5))]
        self.model = Sequential([layers.Input((self.inputs,)), *hidden, last], dtype=dtype, threads=threads)
        self.described = described(self.model.layers)
        self.set_weights()
        self.compile()

    def choose(self, choices):
        return choices[self.rng.integers(len(choices))]

    def width(self):
        return int(self.choose([self.rng.integers(1, 4), self.rng.integers(1, 20), self.rng.integers(1, 131)]))

    def penalty(self):
        return self.choose([None, None, L2(0.01)])

    def layer(self):
        function = self.choose(SMOOTH + KINKED if self.dtype == "float64" else SMOOTH)
        columns = {"center": bool(self.rng.integers(2)), "scale": bool(self.rng.integers(2))}
        return self.choose(
            [
                layers.Dense(self.width(), function, self.rng.random() < 0.8, kernel_regularizer=self.penalty()),
                layers.Dense(self.width(), function),
                layers.Activation(function),
                layers.Dropout(self.choose([0.0, 0.2, 0.7])),
                layers.BatchNormalization(momentum=self.choose([0.0, 0.5, 0.99]), epsilon=0.1, **columns),
                layers.LayerNormalization(epsilon=0.1, **columns),
            ]
        )

    def rows(self):
        """Inputs as users may have them, in float64 for the oracle, targets, and weights or None."""
        n = int(self.choose([self.rng.integers(1, 6), self.rng.integers(1, 80), self.rng.integers(1, 200)]))
        if self.rng.random() < 0.05:
            n = int(self.rng.integers(400, 900))  # segments of a batch
        x = self.rng.normal(size=(n, self.inputs)).astype("float32")
        others = x.astype("float64"), x.astype("float16"), np.asfortranarray(x), x[::-1], (4 * x).astype(int)
        x = self.choose([x, *others])
        classes = self.rng.integers(0, self.outputs, (n, 1))
        y = {
            "sparse": lambda: classes,
            "categorical": lambda: np.eye(self.outputs)[classes[:, 0]],
            "binary": lambda: self.rng.integers(0, 2, (n, self.outputs)),
            "poisson": lambda: self.rng.poisson(1.5, (n, self.outputs)),
        }.get(self.name.split("_")[0], lambda: self.rng.normal(size=(n, self.outputs)).astype("float32"))()
        weights = self.rng.uniform(0.0, 2.0, n).astype("float32") if self.rng.random() < 0.3 else None
        return x, x.astype("float64"), y, weights

    def oracle(self, x, y, weights, batch_size, shuffle, seed, epoch):
        """Train the oracle for an epoch; returns loss and metrics."""
        self.weights, logs = reference.train(
            self.described, self.weights, self.name, self.optimizer.name, self.optimizer.hyperparameters(), x, y,
            batch_size=batch_size, shuffle=shuffle, seed=seed, sample_weights=weights, metrics=self.metrics,
            first_epoch=epoch, state=self.state, loss_options=self.loss.parameters(),
            clipping=self.optimizer.clipping(),
        )  # fmt: skip
        return logs[0]

    def judged(self, x, y, weights):
        """Loss with penalties and metrics of rows, by the oracle."""
        value, _, outputs = reference.loss_and_gradients(
            self.described, self.weights, self.name, x, y, weights, loss_options=self.loss.parameters()
        )
        return np.array([value, *(reference.metric(name, y, outputs).mean() for name in self.metrics)])

    def close(self, given, expected):
        """Compare to within so much of the largest entry, or of 0.001 where all are 0 but for rounding."""
        for ours, theirs in zip(given, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=self.relative * max(1e-3, np.abs(theirs).max()))

    def same_weights(self):
        self.close(self.model.get_weights(), self.weights)

    # --- what may happen to a model -----------------------------------------------------------------------------

    def compile(self):
        epsilon = {"epsilon": self.choose([1e-7, 1e-3]) if self.dtype == "float64" else 0.01}
        clipping = self.choose(CLIPPING)
        decay = self.choose([{}, {"weight_decay": 0.05}])
        self.optimizer = self.choose(
            [
                optimizers.SGD(0.01, **clipping),
                optimizers.SGD(0.003, 0.9, True, **clipping, **decay),
                optimizers.RMSprop(0.003, momentum=0.5, **epsilon, **clipping),
                optimizers.Adam(0.003, **epsilon, **clipping, **decay),
                optimizers.AdamW(0.01, 0.1, **epsilon, **clipping),
                optimizers.Nadam(0.003, **epsilon, **clipping),
                optimizers.Adamax(0.01, **epsilon, **clipping),
                optimizers.Adagrad(0.01, **epsilon, **clipping),
            ]
        )
        smoothing = {"label_smoothing": 0.1} if "crossentropy" in self.name and self.rng.random() < 0.3 else {}
        self.loss, self.state, self.last = declared_loss(self.name, **smoothing), {}, None
        self.model.compile(self.optimizer, self.loss, list(self.metrics), jit_compile=self.jit_compile)

    def set_weights(self):
        drawn = [
            random_weight(self.rng, name, weight.shape)
            for name, weight in zip(weight_names(self.described), self.model.get_weights(), strict=True)
        ]
        self.model.set_weights([weight.astype("float32") for weight in drawn])
        self.weights = [weight.astype("float32").astype("float64") for weight in drawn]

    def fit(self):
        """From epoch 0, on new rows."""
        rows = self.rows()
        n = len(rows[0])
        self.last = rows, max(int(self.rng.integers(1, n + 1)), n // 10), bool(self.rng.integers(2))
        self._fit(0, int(copy.deepcopy(seeding._generator).integers(2**63)))

    def go_on(self):
        """Some more epochs of the last fit."""
        if self.last is not None:
            self._fit(self.epochs, self.model.record().seed)

    def _fit(self, first, seed):
        ((given, x, y, weights), batch_size, shuffle), held_out = self.last, self.choose([None, self.rows()])
        self.epochs = first + int(self.rng.integers(1, 4))
        history = self.model.fit(
            given, y, batch_size, self.epochs, verbose=0, shuffle=shuffle, sample_weight=weights, initial_epoch=first,
            validation_data=held_out and (held_out[0], *held_out[2:]),
        ).history  # fmt: skip
        for place, epoch in enumerate(range(first, self.epochs)):
            logs = {name: values[place] for name, values in history.items()}
            self.same_logs(logs, self.oracle(x, y, weights, batch_size, shuffle, seed, epoch))
            if held_out:
                self.same_logs(logs, self.judged(*held_out[1:]), "val_")
        self.same_weights()

    def same_logs(self, logs, expected, prefix=""):
        for name, value in zip(("loss", *self.metrics), expected, strict=True):
            if self.dtype == "float64" or not name.endswith("accuracy"):  # which jumps
                assert abs(logs[prefix + name] - value) <= 3 * self.relative * max(1.0, abs(value)), name

    def train_on_batch(self):
        given, x, y, weights = self.rows()
        seed = int(copy.deepcopy(seeding._generator).integers(2**63))
        logs = self.model.train_on_batch(given, y, weights, return_dict=True)
        self.same_logs(logs, self.oracle(x, y, weights, len(x), False, seed, 0))
        self.same_weights()

    def predict(self):
        given, x, *_ = self.rows()
        whole, cut = self.model.predict(given), int(self.rng.integers(1, len(x) + 1))
        self.close([whole], [reference.forward(self.described, self.weights, x)[0]])
        parts = [self.model.predict(part) for part in (given[:cut], given[cut:]) if len(part)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    def evaluate(self):
        given, x, y, weights = self.rows()
        logs = self.model.evaluate(given, y, verbose=0, sample_weight=weights, return_dict=True)
        self.same_logs(logs, self.judged(x, y, weights))

    def copy(self):
        self.model = self.choose([copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])(self.model)
        self.optimizer = self.model.optimizer

    def file(self):
        with tempfile.TemporaryDirectory() as folder:
            self.model.save(f"{folder}/model")
            self.model = load_model(f"{folder}/model", threads=self.threads)
        self.optimizer = self.model.optimizer

    def learning_rate(self):
        self.optimizer.learning_rate = 0.002

    def live(self):
        """Go through some of these, and return the weights."""
        happenings = [
            *[self.fit] * 3, *[self.go_on] * 2, self.compile, self.set_weights, self.train_on_batch, self.predict,
            self.evaluate, self.copy, self.file, self.learning_rate,
        ]  # fmt: skip
        self.fit()
        for _ in range(self.rng.integers(2, 7)):
            self.choose(happenings)()
        self.predict()
        self.evaluate()
        return self.model.get_weights()
