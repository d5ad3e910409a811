"""A dot product measures how alike two vectors are; with a sigmoid behind it, it is a network with one neuron."""

import argparse

import numpy as np

from fastnn import SGD, Dense, Input, Sequential


def similarity():
    """Of two vectors, which one is more like the first? The one with the larger dot product."""
    vector = np.array([1.72, 1.23])
    candidates = np.array([[1.26, 0.0], [2.17, 0.32]])
    products = candidates @ vector
    for candidate, product in zip(candidates, products, strict=True):
        print(f"{vector} . {candidate} = {product:.4f}")
    print(f"most alike: {candidates[products.argmax()]}\n")
    return products


def one_neuron():
    """Two points, the first labelled 1 and the second 0; the weights given at first get the second one wrong."""
    x = np.array([[1.66, 1.56], [2.0, 1.5]])
    y = np.array([1.0, 0.0])
    model = Sequential([Input(shape=(2,)), Dense(1, activation="sigmoid")], dtype="float64")
    model.set_weights([[[1.45], [-0.66]], [0.0]])
    before = show("before training", model, x, y)

    # The two points lie close together, so it takes many small steps to turn the line between them.
    model.compile(optimizer=SGD(learning_rate=1.0), loss="binary_crossentropy")
    model.fit(x, y, batch_size=2, epochs=2000, verbose=0)
    after = show("after training", model, x, y)
    return before, after


def show(title, model, x, y):
    predictions = model.predict(x, verbose=0).ravel()
    print(title)
    for point, label, prediction in zip(x, y, predictions, strict=True):
        verdict = "right" if round(prediction) == label else "wrong"
        print(f"    {point} -> {prediction:.8g}, labelled {label:g}: {verdict}")
    return predictions


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    similarity()
    one_neuron()
