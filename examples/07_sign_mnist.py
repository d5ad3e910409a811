"""Sign-language MNIST: which letter does this hand show? 28 x 28 grey pixels, 24 letters (J and Z need movement).

Look at the data, scale the pixels to 0..1, one-hot encode the labels, train 784-512-512-24 for 20 epochs with the
official test file as validation.
"""

import argparse
import sys
from pathlib import Path

import fastnn as keras
from fastnn import Dense, Sequential
from fastnn.datasets import SIGN_MNIST_LETTERS
from fastnn.plotting import plot_history, plot_images


def main(epochs, folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"The pictures need a folder.\n{error}")
    try:
        (x_train, y_train), (x_valid, y_valid) = keras.datasets.load_sign_mnist()
    except FileNotFoundError as error:
        sys.exit(f"This example needs the sign-language MNIST data.\n{error}")

    # Look at the data: 20 images in a row.
    print(f"training {x_train.shape}, validation {x_valid.shape}, pixels {x_train.min()} to {x_train.max()}")
    letters = [SIGN_MNIST_LETTERS[label] for label in y_train[:20]]
    plot_images(x_train[:20], letters, columns=20).savefig(folder / "sign_mnist_images.png", dpi=100)

    # One row of 784 numbers from 0 to 1 for each image, one column for each letter.
    x_train, x_valid = x_train.reshape(-1, 784) / 255, x_valid.reshape(-1, 784) / 255
    y_train, y_valid = keras.utils.to_categorical(y_train, 24), keras.utils.to_categorical(y_valid, 24)

    model = Sequential()
    model.add(Dense(units=512, activation="relu", input_shape=(784,)))
    model.add(Dense(units=512, activation="relu"))
    model.add(Dense(units=24, activation="softmax"))
    model.summary()

    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = model.fit(x_train, y_train, epochs=epochs, verbose=1, validation_data=(x_valid, y_valid)).history
    plot_history(history).savefig(folder / "sign_mnist_history.png", dpi=110)
    print(f"accuracy {history['accuracy'][-1]:.2%} in training, {history['val_accuracy'][-1]:.2%} in validation")
    print("The training images are variations of about 1,700 photographs: hence the distance between the two.")
    print(f"pictures: {folder / 'sign_mnist_images.png'}, {folder / 'sign_mnist_history.png'}")
    return history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20, help="20 if not given")
    parser.add_argument("--folder", type=Path, default="fastnn-examples", help="of the pictures")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"the number of epochs must be 1 or more; got {arguments.epochs}")
    main(**vars(arguments))
