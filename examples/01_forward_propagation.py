"""Forward propagation: the same small networks by hand and as fastnn models.

A neuron multiplies each of its inputs by a weight, adds the products up and passes the sum through its
activation function. Here there are no biases, and the weights are whole numbers that can be checked in the head.
"""

import argparse

import numpy as np

from fastnn import Dense, Input, Sequential

# One line for each network: name, weights of each hidden neuron by layer, weights of the output neuron, activation.
NETWORKS = {
    "one hidden layer": ([[[1, 1], [-1, 1]]], [2, -1], "linear"),
    "one hidden layer, relu": ([[[2, 4], [4, -5]]], [2, 7], "relu"),
    "two hidden layers, relu": ([[[2, 4], [4, -5]], [[-1, 2], [1, 2]]], [2, 7], "relu"),
}
CASES = [
    ("one hidden layer", (2, 3)),
    ("one hidden layer", (3, 4)),
    ("one hidden layer, relu", (3, 4)),
    ("two hidden layers, relu", (3, 5)),
]


def by_hand(inputs, hidden, output, activation):
    """Return the values of every layer, computed neuron by neuron."""
    values = [inputs]
    for layer in hidden:
        sums = [sum(w * v for w, v in zip(neuron, values[-1], strict=True)) for neuron in layer]
        values.append(tuple(max(0, s) for s in sums) if activation == "relu" else tuple(sums))
    values.append(sum(w * v for w, v in zip(output, values[-1], strict=True)))
    return values


def by_model(inputs, hidden, output, activation):
    """Return the output of the same network built as a Sequential model."""
    model = Sequential([Input(shape=(2,))])
    for layer in hidden:
        model.add(Dense(len(layer), activation=activation, use_bias=False))
    model.add(Dense(1, use_bias=False))
    # A Dense layer keeps one *column* of weights for each neuron, so the lists above are transposed.
    model.set_weights([np.transpose(layer) for layer in hidden] + [np.reshape(output, (-1, 1))])
    return float(model.predict([inputs], verbose=0)[0, 0])


def main():
    for name, inputs in CASES:
        _, *hidden, output = by_hand(inputs, *NETWORKS[name])
        steps = " -> ".join(str(layer) for layer in hidden)
        print(f"{name}: inputs {inputs} -> hidden {steps} -> output {output}")
        print(f"    the model says {by_model(inputs, *NETWORKS[name]):g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    main()
