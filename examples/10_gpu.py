"""The same model on a GPU: one argument, and the same results within rounding."""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits

import fastnn


def timed(device, x, y):
    """Train a classifier of digits on a device; return its seconds an epoch, its accuracy and its outputs."""
    fastnn.set_random_seed(0)
    layers = [fastnn.Dense(256, "relu", input_shape=(64,)), fastnn.Dense(10, "softmax")]
    model = fastnn.Sequential(layers, device=device)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=128, epochs=1, verbose=0)  # compiles
    begun = time.perf_counter()
    history = model.fit(x, y, batch_size=128, epochs=10, verbose=0).history
    return (time.perf_counter() - begun) / 10, history["accuracy"][-1], model.predict(x)


def main():
    try:
        fastnn.set_device("cuda")
    except RuntimeError as error:
        print(f"This example needs a GPU: {error}.")
        return
    finally:
        fastnn.set_device("cpu")
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    outputs = {}
    for device in ("cpu", "cuda"):
        seconds, accuracy, outputs[device] = timed(device, x, y)
        print(f"{device:<5} {1e3 * seconds:8.2f} ms an epoch, accuracy {accuracy:.3f}")
    print(f"largest difference of the outputs: {np.abs(outputs['cuda'] - outputs['cpu']).max():.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    main()
