"""A straight line y = m x + b by gradient descent on the mean squared error, with its path down the loss surface."""

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastnn import SGD, Dense, Input, LambdaCallback, Sequential

LEARNING_RATE = 0.08
EPOCHS = 150


def data():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 3, 40)
    return x, 2 * x - 1 + rng.normal(scale=0.4, size=x.size)  # the line to find: m = 2, b = -1


def gradient(m, b, x, y):
    """Derivatives of mean((m x + b - y)^2) with respect to m and b."""
    error = m * x + b - y
    return 2 * np.mean(error * x), 2 * np.mean(error)


def descend_by_hand(x, y, m, b):
    path = [(m, b)]
    for _ in range(EPOCHS):
        dm, db = gradient(m, b, x, y)
        m, b = m - LEARNING_RATE * dm, b - LEARNING_RATE * db
        path.append((m, b))
    return np.array(path)


def descend_by_model(x, y, m, b):
    """The same as a network: one neuron without activation is a straight line."""
    model = Sequential([Input(shape=(1,)), Dense(1)], dtype="float64")
    model.set_weights([[[m]], [b]])
    model.compile(optimizer=SGD(learning_rate=LEARNING_RATE), loss="mse")
    path = [(m, b)]
    remember = LambdaCallback(on_epoch_end=lambda epoch, logs: path.append([w.item() for w in model.get_weights()]))
    model.fit(x, y, batch_size=len(x), epochs=EPOCHS, callbacks=[remember], verbose=0)
    return np.array(path)


def draw(x, y, path, file):
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")

    left.scatter(x, y, color="0.45", s=22, label="data")
    ends = np.array([x.min(), x.max()])
    for epoch, shade in zip((0, 3, 10, EPOCHS), (0.25, 0.45, 0.65, 0.95), strict=True):
        m, b = path[epoch]
        left.plot(ends, m * ends + b, color=plt.cm.Blues(shade), lw=2, label=f"epoch {epoch}")
    left.set(title="The line while it learns", xlabel="x", ylabel="y")
    left.legend()

    m, b = np.meshgrid(np.linspace(-2, 4, 121), np.linspace(-4, 4, 121))
    loss = ((m[..., None] * x + b[..., None] - y) ** 2).mean(axis=-1)
    levels = np.geomspace(loss.min(), loss.max(), 20)
    surface = right.contourf(m, b, loss, levels=levels, norm="log", cmap="Blues_r")
    fig.colorbar(surface, ax=right, label="mean squared error", ticks=[0.3, 1, 3, 10, 30], format="%g")
    right.plot(*path.T, ".-", color="tab:orange", ms=5, label="one dot an epoch")
    right.plot(*path[-1], "*", color="tab:red", ms=14, label=f"m = {path[-1, 0]:.2f}, b = {path[-1, 1]:.2f}")
    right.set(title="The way down the loss surface", xlabel="m", ylabel="b")
    right.legend(loc="upper right")

    fig.savefig(file, dpi=120)
    plt.close(fig)


def main(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"The picture needs a folder.\n{error}")
    x, y = data()
    start = (-1.5, 3.5)
    by_hand, by_model = descend_by_hand(x, y, *start), descend_by_model(x, y, *start)
    exact = np.polyfit(x, y, 1)
    print(f"by hand:       m = {by_hand[-1, 0]:.4f}, b = {by_hand[-1, 1]:.4f}")
    print(f"fastnn:        m = {by_model[-1, 0]:.4f}, b = {by_model[-1, 1]:.4f}")
    print(f"least squares: m = {exact[0]:.4f}, b = {exact[1]:.4f}")
    file = folder / "straight_line.png"
    draw(x, y, by_model, file)
    print(f"picture: {file}")
    return by_hand, by_model, exact


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default="fastnn-examples", help="of the picture")
    main(**vars(parser.parse_args()))
