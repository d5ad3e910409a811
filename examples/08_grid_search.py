"""Many models: 60 settings of a network for Pima diabetes, each judged by 5-fold cross-validation.

The 300 fits are scikit-learn's own GridSearchCV around fastnn's MLPClassifier. A fit holds no lock of Python's while it
computes, so threads are enough to use all cores: nothing is copied to other processes, and nothing is imported there.
"""

import argparse
import sys
import time
import warnings

import joblib
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn

GRID = {
    "mlpclassifier__hidden_layer_sizes": [(), (8,), (16,), (16, 8), (32, 16)],
    "mlpclassifier__alpha": [1e-4, 1e-2, 1.0, 10.0],
    "mlpclassifier__learning_rate_init": [1e-3, 3e-3, 1e-2],
}


def main(threads):
    try:
        x, y = fastnn.datasets.load_pima()
    except FileNotFoundError as error:
        sys.exit(f"This example needs the Pima data.\n{error}")

    model = make_pipeline(StandardScaler(), fastnn.MLPClassifier(batch_size=32, max_iter=60, random_state=0))
    search = GridSearchCV(model, GRID, cv=StratifiedKFold(5, shuffle=True, random_state=0))

    start = time.perf_counter()
    with joblib.parallel_config("threading", n_jobs=threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 epochs are few for the slow learning rates
        search.fit(x, y.ravel())
    seconds = time.perf_counter() - start

    results = search.cv_results_
    best = {name.split("__")[1]: value for name, value in search.best_params_.items()}
    print(f"{len(results['params'])} settings x 5 folds in {seconds:.1f} s on {threads} threads")
    print(f"best: {best}")
    print(
        f"accuracy on rows not trained on {search.best_score_:.1%}, of the worst {min(results['mean_test_score']):.1%}"
    )
    return search.best_score_


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("threads", nargs="?", type=int, default=fastnn.get_num_threads(), help="all cores if not given")
    arguments = parser.parse_args()
    if arguments.threads < 1:
        parser.error(f"the number of threads must be 1 or more; got {arguments.threads}")
    main(arguments.threads)
