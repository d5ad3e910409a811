"""What `fastnn.MLPClassifier` has and scikit-learn's has not, on a task with a rare class.

One row in twenty belongs to the class to be found. A plain network learns to say no and is right nineteen times out of
twenty; weights of the classes make it look, and a score that counts both classes alike tells when to stop.
"""

import argparse
import sys
from pathlib import Path

from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import RandomizedSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler

import fastnn


def main(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"The picture needs a folder.\n{error}")
    x, y = make_classification(3000, 20, n_informative=6, weights=[0.95], class_sep=0.8, random_state=1)
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=0)
    scale = StandardScaler().fit(x_train)
    x_train, x_test = scale.transform(x_train), scale.transform(x_test)
    x_fit, x_val, y_fit, y_val = train_test_split(x_train, y_train, stratify=y_train, random_state=0)

    plain = fastnn.MLPClassifier(hidden_layer_sizes=(32, 32), early_stopping=True, random_state=0)
    plain.fit(x_fit, y_fit, validation_data=(x_val, y_val))

    model = fastnn.MLPClassifier(
        n_layers=2,
        width=32,
        activation=["gelu", "tanh"],
        dropout=0.2,
        class_weight="balanced",
        early_stopping=True,
        scoring="balanced_accuracy",
        time_limit=20,
        random_state=0,
    ).fit(x_fit, y_fit, validation_data=(x_val, y_val))

    results = [balanced_accuracy_score(y_test, network.predict(x_test)) for network in (plain, model)]
    print(f"accuracy over both classes alike: plain {results[0]:.1%}, with all of this {results[1]:.1%}")
    print(f"the second fit ended after {model.n_iter_} epochs by {model.stop_reason_!r}")

    choices = {"n_layers": [1, 2, 3], "width": [8, 16, 32, 64], "dropout": [0.0, 0.1, 0.3]}
    candidate = fastnn.MLPClassifier(class_weight="balanced", early_stopping=True, random_state=0)
    search = RandomizedSearchCV(candidate, choices, n_iter=8, scoring="balanced_accuracy", cv=3, random_state=0)
    search.fit(x_train, y_train)
    print(f"best of 8 shapes: {search.best_params_}, {search.best_score_:.1%} on rows not trained on")

    picture = folder / "loss_curve.png"
    model.plot_loss_curve().figure_.savefig(picture, dpi=150)
    print(f"loss curve: {picture}")
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default="fastnn-examples", help="of the picture")
    main(**vars(parser.parse_args()))
