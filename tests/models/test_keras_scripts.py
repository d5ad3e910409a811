"""Scripts of introductory articles run with only their import lines changed."""

import numpy as np
import pytest

from fastnn.common import identifiers

PIMA = """
from fastnn.models import Sequential
from fastnn.layers import Dense
import numpy
seed = 7
numpy.random.seed(seed)
dataset = numpy.loadtxt("pima-indians-diabetes.csv", delimiter=",")
X = dataset[:,0:8]
Y = dataset[:,8]
model = Sequential()
model.add(Dense(12, input_dim=8, init='uniform', activation='relu'))
model.add(Dense(8, init='uniform', activation='relu'))
model.add(Dense(1, init='uniform', activation='sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='adam', metrics=['accuracy'])
model.fit(X, Y, nb_epoch=150, batch_size=10)
scores = model.evaluate(X, Y)
print("%s: %.2f%%" % (model.metrics_names[1], scores[1]*100))
predictions = model.predict(X)
rounded = [round(x[0]) for x in predictions]
print(rounded[:3])
"""

SIGNS = """
import pandas as pd
train_df = pd.read_csv("train.csv")
valid_df = pd.read_csv("valid.csv")
y_train = train_df['label']
y_valid = valid_df['label']
del train_df['label']
del valid_df['label']
x_train = train_df.values
x_valid = valid_df.values
x_train = x_train / 255
x_valid = x_valid / 255
import fastnn as keras
num_classes = 24
y_train = keras.utils.to_categorical(y_train, num_classes)
y_valid = keras.utils.to_categorical(y_valid, num_classes)
from fastnn.models import Sequential
from fastnn.layers import Dense
model = Sequential()
model.add(Dense(units = 512, activation='relu', input_shape=(784,)))
model.add(Dense(units = 512, activation='relu'))
model.add(Dense(units = num_classes, activation='softmax'))
model.summary()
model.compile(loss='categorical_crossentropy', metrics=['accuracy'])
history = model.fit(x_train, y_train, epochs=2, verbose=1, validation_data=(x_valid, y_valid))
"""


def test_pima_in_the_first_spelling(tmp_path, monkeypatch, capsys):
    generator = np.random.default_rng(0)
    x = np.round(generator.gamma(2, [2, 60, 35, 10, 40, 16, 0.2, 17], (300, 8)), 3)
    np.savetxt(tmp_path / "pima-indians-diabetes.csv", np.c_[x, x[:, 1] > 110], delimiter=",")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(identifiers, "_warned", set())
    names = {}
    with pytest.warns(FutureWarning) as caught:
        exec(PIMA, names)
    assert [str(warning.message).split("'")[1] for warning in caught] == ["init", "nb_epoch"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/150"
    assert lines[299].startswith("30/30 ━━━━━━━━━━━━━━━━━━━━ 0s ")
    assert float(lines[-2].removeprefix("accuracy: ").removesuffix("%")) > 70
    assert set(names["rounded"]) <= {0, 1}


def test_sign_language_in_the_second_spelling(tmp_path, monkeypatch, capsys):
    pandas = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    for name, rows in (("train", 200), ("valid", 48)):
        labels = np.arange(rows) % 24
        pixels = generator.integers(0, 40, (rows, 784)) + (np.arange(784) // 32 == labels[:, None]) * 200
        columns = ["label", *(f"pixel{i + 1}" for i in range(784))]
        pandas.DataFrame(np.c_[labels, pixels], columns=columns).to_csv(tmp_path / f"{name}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(SIGNS, names)
    printed = capsys.readouterr().out
    assert "│ dense_2 (Dense) " in printed
    assert "Total params: 676,888 (2.58 MB)" in printed
    assert "Epoch 2/2\n7/7 ━━━━━━━━━━━━━━━━━━━━ 0s " in printed
    assert names["history"].history["accuracy"][-1] > names["history"].history["accuracy"][0]


KERAS_3 = """
import fastnn as keras
from fastnn import layers
import numpy as np
keras.utils.set_random_seed(812)
model = keras.Sequential([
    keras.Input(shape=(28, 28)),
    layers.Flatten(),
    layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)),
    layers.Dropout(0.2),
    layers.Dense(10),
])
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
)
callbacks = [keras.callbacks.EarlyStopping(monitor="val_acc", patience=2, restore_best_weights=True)]
history = model.fit(x, y, batch_size=64, epochs=3, validation_split=0.1, callbacks=callbacks, verbose=2)
score = model.evaluate(x, y, verbose=0)
print("Test loss:", score[0])
model.save("final_model.keras")
model = keras.models.load_model("final_model.keras")
assert model.evaluate(x, y, verbose=0) == score
"""


def test_a_script_of_keras_3(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels = np.arange(300) % 10
    images = np.random.default_rng(1).integers(0, 255, (300, 28, 28), dtype=np.uint8)
    names = {"x": images, "y": labels}
    exec(KERAS_3, names)
    assert set(names["history"].history) == {"acc", "loss", "val_acc", "val_loss"}
    assert "Test loss: " in capsys.readouterr().out


def test_pima_reaches_the_accuracy_of_the_article(pima, capsys):
    from fastnn import Dense, Sequential
    from fastnn.utils import set_random_seed

    x, y = pima
    scores = []
    for seed in range(3):
        set_random_seed(seed)
        uniform = {"kernel_initializer": "uniform"}
        model = Sequential(
            [
                Dense(16, "relu", input_dim=8, **uniform),
                Dense(8, "relu", **uniform),
                Dense(1, "sigmoid", **uniform),
            ]
        )
        model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
        model.fit(x, y, epochs=150, batch_size=10, verbose=0)
        scores.append(model.evaluate(x, y, verbose=0)[1])
    assert 0.74 < np.mean(scores) < 0.82
