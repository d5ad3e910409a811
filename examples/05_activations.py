"""The activation functions and their derivatives, drawn.

The derivative decides how much of an error goes back through a neuron: where it is flat, nothing is learned.
"""

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastnn import activations

NAMES = ["linear", "step", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus"]


def derivative(function, x, h=1e-5):
    """Central difference: good to about ten digits here, whatever the function."""
    return (function(x + h) - function(x - h)) / (2 * h)


def draw_function(axis, name):
    x = np.linspace(-4, 4, 802)  # an even count: no point on the kink at 0
    function = activations.get(name)
    axis.plot(x, function(x), color="tab:blue", lw=2.2, label="$f(x)$")
    axis.plot(x, derivative(function, x), color="tab:orange", lw=1.6, ls="--", label="$f'(x)$")
    axis.axhline(0, color="0.8", lw=0.8, zorder=0)
    axis.axvline(0, color="0.8", lw=0.8, zorder=0)
    axis.set(title=name, ylim=(-2, 2.6))


def draw_softmax(axis):
    """Softmax needs a whole layer: it turns sums into probabilities that add up to one."""
    sums = np.array([[1.0, 2.0, 0.0, 3.0, -1.0]])
    bars = axis.bar([f"{s:g}" for s in sums[0]], activations.get("softmax")(sums)[0], color="tab:blue")
    axis.bar_label(bars, fmt="%.2f")
    axis.set(title="softmax of five sums", ylim=(0, 0.8))


def main(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"The picture needs a folder.\n{error}")
    fig, axes = plt.subplots(3, 4, figsize=(12, 8), layout="constrained")
    for axis, name in zip(axes.flat, NAMES, strict=False):
        draw_function(axis, name)
    draw_softmax(axes.flat[-1])
    axes.flat[0].legend(loc="upper left")
    file = folder / "activations.png"
    fig.savefig(file, dpi=110)
    plt.close(fig)

    x = np.array([-2.0, -0.5, 0.5, 2.0])
    print("f(x) at x =".ljust(12) + "".join(f"{v:9g}" for v in x))
    for name in NAMES:
        print(name.ljust(12) + "".join(f"{v:9.4f}" for v in activations.get(name)(x)))
    print(f"picture: {file}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default="fastnn-examples", help="of the picture")
    main(**vars(parser.parse_args()))
