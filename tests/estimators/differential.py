"""Random lives of two estimators, fastnn's in its default precision and scikit-learn's, and where they differ.

Both get the same parameters, data, assignments and wrong calls. After a fit scikit-learn's takes fastnn's weights, so
that what they then return must agree, however far rounding and other orders of the rows have driven the fits apart.
"""

import copy
import pickle
import warnings
from numbers import Real

import numpy as np
import pandas as pd
import sklearn.neural_network as scikit_learn
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastnn

KINDS = ("binary", "booleans", "words", "numbers", "multilabel", "one", "column", "several", "counts")
CONTAINERS = {
    "float64": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "int64": lambda x: np.round(3 * x).astype(np.int64),
    "int8": lambda x: np.round(3 * x).astype(np.int8),
    "bool": lambda x: x > 0,
    "list": lambda x: x.tolist(),
    "frame": lambda x: pd.DataFrame(x, columns=[f"c{column}" for column in range(x.shape[1])]),
    "frame32": lambda x: pd.DataFrame(x.astype(np.float32), columns=[f"c{column}" for column in range(x.shape[1])]),
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "other bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "objects": lambda x: x.astype(object),
    "renamed": lambda x: pd.DataFrame(x, columns=[f"d{column}" for column in range(x.shape[1])]),
    "nullable": lambda x: pd.DataFrame(np.round(x).astype(int)).astype("Int64"),
    "mixed frame": lambda x: pd.DataFrame({f"c{i}": x[:, i] if i % 2 else x[:, i] > 0 for i in range(x.shape[1])}),
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "csr": sparse.csr_matrix,
    "csr32": lambda x: sparse.csr_array(x.astype(np.float32)),
    "csc": sparse.csc_matrix,
}
OURS_ALONE = {"normalizations_", "validation_loss_curve_", "stop_reason_"}
INTERNAL = (IndexError, UnboundLocalError, KeyError, ZeroDivisionError)  # of scikit-learn, where it checks nothing
OF_OPTIMIZER = {"solver", "learning_rate", "learning_rate_init", "momentum", "nesterovs_momentum", "beta_1"}


class Life:
    """Two estimators with the same random history.

    Parameters
    ----------
    seed : int
        Decides everything.
    **ours
        Parameters of fastnn's alone.

    Attributes
    ----------
    differences : list of str
    history : list of str
        What was done.
    """

    def __init__(self, seed, **ours):
        self.rng = np.random.default_rng(seed)
        self.seed, self.history, self.differences = seed, [], []
        self.alike = False  # whether all fits since the weights were drawn took the same steps
        self.kind, self.columns = self.pick(KINDS), int(self.rng.integers(1, 7))
        self.classifies = KINDS.index(self.kind) < 5
        self.noise = self.rng.normal(size=(self.columns, 4))
        parameters = self.parameters()
        name = "MLPClassifier" if self.classifies else "MLPRegressor"
        if self.kind == "counts":
            parameters["loss"] = "poisson"
        self.ours, self.theirs = (getattr(module, name)(**parameters) for module in (fastnn, scikit_learn))
        self.ours.set_params(**ours)
        self.history.append(f"{self.kind}: {self.theirs}")

    def pick(self, choices):
        return list(choices)[self.rng.integers(len(choices))]

    def chance(self, share):
        return self.rng.random() < share

    def parameters(self):
        """Some of the parameters, each at random."""
        choices = {
            "hidden_layer_sizes": [(), (3,), 5, [8], (4, 3), (20, 6)],
            "activation": ["identity", "logistic", "tanh", "relu"],
            "solver": ["adam", "adam", "sgd", "lbfgs"],
            "alpha": [0, 1e-4, 0.1],
            "batch_size": ["auto", "auto", 5, 16, 1000],
            "learning_rate": ["constant", "invscaling", "adaptive"],
            "learning_rate_init": [1e-3, 1e-2],
            "power_t": [0.5, 0.1],
            "max_iter": [1, 2, 4],
            "shuffle": [True, False],
            "momentum": [0.9, 0.0, 0.5],
            "nesterovs_momentum": [True, False],
            "beta_1": [0.9, 0.5],
            "warm_start": [True, False],
            "early_stopping": [False, False, True],
            "validation_fraction": [0.1, 0.3],
            "tol": [1e-4, 0.0, 50.0],
            "n_iter_no_change": [10, 10, 1],
        }
        given = {name: self.pick(values) for name, values in choices.items() if self.chance(0.4)}
        return {"max_iter": 2, "random_state": int(self.rng.integers(5)), **given}

    def data(self, rows=None):
        """X in some container, and y that depends on it a little, in some container."""
        rows = rows or int(self.pick([8, 30, 60, 60, 230]))
        x = np.round(self.rng.normal(size=(rows, self.columns)), 3)
        if self.chance(0.05):
            x[rows // 2 :] = x[0]
        values = x @ self.noise + 0.3 * self.rng.normal(size=(rows, 4))
        classes = np.argsort(np.argsort(values[:, 0])) * 3 // rows
        y = {
            "binary": lambda: classes // 2,
            "booleans": lambda: classes > 0,
            "words": lambda: np.array(["one", "three", "two"])[classes],
            "numbers": lambda: np.array([-3, 7, 10])[classes],
            "multilabel": lambda: (values[:, :3] > 0).astype(int),
            "one": lambda: values[:, 0],
            "column": lambda: values[:, :1],
            "several": lambda: values[:, :2],
            "counts": lambda: self.rng.poisson(np.exp(np.minimum(values[:, 0], 2))),
        }[self.kind]()
        if self.chance(0.03):
            y = np.repeat(y[:1], rows, axis=0)
        x = x * self.pick([1.0, 1.0, 1.0, 0.01, 1.0 if self.kind == "counts" else 4.0])  # rates are exponentials
        container = self.pick(CONTAINERS)
        form = self.pick(["array", "array", "array", "list", "pandas", "float32", "objects", "sparse", "column"])
        if form == "list":
            y = y.tolist()
        elif form == "pandas":
            y = pd.DataFrame(y) if y.ndim == 2 else pd.Series(y)
        elif form == "float32" and y.dtype.kind in "if":
            y = y.astype(np.float32)
        elif form == "objects" and y.dtype.kind == "U":
            y = y.astype(object)
        elif form == "sparse" and self.kind == "multilabel":
            y = sparse.csr_matrix(y)
        elif form == "column" and y.ndim == 1:
            y = y[:, np.newaxis]
        return container, CONTAINERS[container](x), y

    def live(self, steps=6):
        """Begin with a fit, and do what comes; returns the differences."""
        deeds = [
            self.fit, self.partial_fit, self.look, self.look, self.set, self.clone, self.pickle, self.assign,
            self.resize, self.misshape, self.link, self.err,
        ]  # fmt: skip
        if self.chance(0.1):
            self.look()  # before any fit
        (self.partial_fit if self.chance(0.3) else self.fit)()
        for _ in range(steps):
            if self.differences:
                break
            self.pick(deeds)()
        if not self.differences:
            self.look()
        return self.differences

    # what is done

    def fit(self, method="fit"):
        container, x, y = self.data()
        options = {}
        if self.chance(0.2):
            kept = self.rng.random(np.shape(x)[0]) > 0.2
            options["sample_weight"] = kept * self.rng.uniform(0.5, 2.0, np.shape(x)[0])
        if method == "partial_fit" and self.classifies and self.chance(0.95):
            options["classes"] = [0, 1, 2] if self.kind == "multilabel" else np.unique(np.asarray(y))
        goes_on = hasattr(self.ours, "coefs_") and (method == "partial_fit" or self.theirs.warm_start)
        self.history.append(f"{method} {container} {np.shape(x)} {type(y).__name__} {sorted(options)}")
        if goes_on and self.theirs.solver == "lbfgs" and self.resized:
            return  # scikit-learn's cuts the vector of all weights by its parameter
        if not self.both(lambda model: getattr(model, method)(x, y, **options) is model):
            return
        batch = 200 if self.theirs.batch_size == "auto" else self.theirs.batch_size
        same_batches = np.shape(x)[0] <= batch or not self.theirs.shuffle
        alike = same_batches and self.theirs.solver != "lbfgs" and not self.theirs.early_stopping
        self.alike = alike and (self.alike or not goes_on)
        self.compare_attributes()
        self.give_weights()

    def partial_fit(self):
        self.fit("partial_fit")

    def look(self):
        container, x, y = self.data(self.pick([None, 1 if not self.classifies else 3]))
        self.history.append(f"predict {container} {np.shape(x)}")
        near = self.near_a_border(x)
        for method in ("predict", "predict_proba", "predict_log_proba"):
            if hasattr(self.theirs, method):
                self.both(lambda model, method=method: getattr(model, method)(x), method, near)
        weights = self.rng.uniform(0.5, 2.0, np.shape(x)[0]) if self.chance(0.2) else None
        self.both(lambda model: model.score(x, y, weights), "score", near)
        mine, others = self.ours.get_params(), self.theirs.get_params()
        if not mine.items() >= others.items():
            self.differ(f"parameters: ours {mine}, theirs {others}")

    def set(self):
        changed = self.parameters()
        changed = {name: changed[name] for name in changed if self.chance(0.4)}
        if hasattr(self.ours, "coefs_") and self.chance(0.8):
            changed.pop("hidden_layer_sizes", None)
        self.history.append(f"set {changed}")
        self.alike &= not OF_OPTIMIZER.intersection(changed)  # which scikit-learn's partial_fit does not look at
        self.both(lambda model: model.set_params(**changed) is model)

    def clone(self):
        self.history.append("clone")
        self.ours, self.theirs = clone(self.ours), clone(self.theirs)
        self.fit()

    def pickle(self):
        self.history.append("copy")
        through = self.pick([copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
        self.ours, self.theirs = through(self.ours), through(self.theirs)

    def assign(self):
        """Other values of the same shapes, and perhaps of another type or order."""
        factor = self.rng.uniform(0.5, 1.5)
        change = self.pick([
            lambda array: array * factor, lambda array: array.astype(np.float32), lambda array: array.astype(float),
            lambda array: np.asfortranarray(array * factor), lambda array: np.round(array * 3).astype(int),
            lambda array: np.array(array),
        ])  # fmt: skip
        self.give_both(lambda coefs, biases: ([change(coef) for coef in coefs], [change(bias) for bias in biases]))

    def resize(self):
        """Prune or widen a hidden layer, or put another layer in."""
        if not hasattr(self.theirs, "coefs_") or len(self.theirs.coefs_) < 2:
            return
        layer, insert = int(self.rng.integers(len(self.theirs.coefs_) - 1)), self.chance(0.2)
        width = self.theirs.coefs_[layer].shape[1]
        kept = self.rng.integers(width, size=max(1, width + int(self.rng.integers(-2, 3))))

        def resized(coefs, biases):
            coefs, biases = list(coefs), list(biases)
            if insert:
                coefs.insert(layer + 1, np.eye(width, dtype=coefs[0].dtype))
                biases.insert(layer + 1, np.zeros(width, coefs[0].dtype))
            else:
                coefs[layer], biases[layer] = coefs[layer][:, kept], biases[layer][kept]
                coefs[layer + 1] = coefs[layer + 1][kept]
            return coefs, biases

        self.give_both(resized)
        if insert:
            sizes = tuple(coef.shape[1] for coef in self.theirs.coefs_[:-1])
            for model in (self.ours, self.theirs):
                model.n_layers_, model.hidden_layer_sizes = len(sizes) + 2, sizes
        for model in (self.ours, self.theirs):
            model.__dict__.pop("_optimizer", None)  # its moments have other shapes: scikit-learn's fails with them

    def misshape(self):
        """Weights that do not fit each other: an error, and all as before once they are set back."""
        if not hasattr(self.theirs, "coefs_"):
            return
        before = [(list(model.coefs_), list(model.intercepts_)) for model in (self.ours, self.theirs)]
        layer = int(self.rng.integers(len(self.theirs.coefs_)))
        coef = self.ours.coefs_[layer]
        wrong = self.pick([np.vstack([coef, coef]), coef[0], coef[None], coef[:, :0]])
        self.history.append(f"misshape coefs_[{layer}] {coef.shape} -> {wrong.shape}")
        _, x, _ = self.data()
        for model, (coefs, biases) in zip((self.ours, self.theirs), before, strict=True):
            model.coefs_ = [*coefs[:layer], wrong, *coefs[layer + 1 :]]
            found = outcome(lambda model=model: model.predict(x))
            if model is self.ours and not isinstance(found, ValueError):
                self.differ(f"weights of wrong shapes give {type(found).__name__}")
            model.coefs_, model.intercepts_ = coefs, biases

    def link(self):
        """Another activation of the outputs."""
        if not hasattr(self.theirs, "coefs_") or self.classifies:
            return
        activation = self.pick(["identity", "logistic", "exp"])
        self.history.append(f"out_activation_ {activation}")
        before = self.theirs.out_activation_
        for model in (self.ours, self.theirs):
            model.out_activation_ = activation
        self.look()
        for model in (self.ours, self.theirs):  # the gradient of scikit-learn's is that of the loss's own link
            model.out_activation_ = before

    def err(self):
        """A call that is wrong."""
        _, _, y = self.data(30)
        dense = np.asarray(self.rng.normal(size=(30, self.columns)))
        broken = dense.copy()
        broken[3, 0] = self.pick([np.nan, np.inf])
        wide = np.hstack([dense, dense])
        calls = {
            "fit on NaN": lambda model: model.fit(broken, y),
            "predict NaN": lambda model: model.predict(broken),
            "fewer targets": lambda model: model.fit(dense, y[:10]),
            "one row": lambda model: model.predict(dense[0]),
            "no rows": lambda model: model.predict(dense[:0]),
            "other columns": lambda model: model.predict(wide),
            "words": lambda model: model.predict([["a"] * self.columns]),
            "a negative size": lambda model: clone(model).set_params(hidden_layer_sizes=(-1,)).fit(dense, y),
            "no solver": lambda model: clone(model).set_params(solver="best").fit(dense, y),
            "no activation": lambda model: clone(model).set_params(activation="step").fit(dense, y),
            "no parameter": lambda model: model.set_params(layers=3),
            "a rate of 0": lambda model: clone(model).set_params(learning_rate_init=0).fit(dense, y),
            "weights of other length": lambda model: model.fit(dense, y, sample_weight=np.ones(7)),
            "weights of NaN": lambda model: model.fit(dense, y, sample_weight=np.full(30, np.nan)),
            "complex numbers": lambda model: model.fit(dense + 1j, y),
            "no targets": lambda model: model.fit(dense, None),
            "targets of NaN": lambda model: clone(model).fit(dense, np.full(30, np.nan)),
            "three dimensions": lambda model: model.fit(dense[None], y),
            "not fitted": lambda model: clone(model).predict(dense),
        }
        name = self.pick(calls)
        self.history.append(f"err: {name}")
        self.both(calls[name])

    # how the two are compared

    def both(self, do, what="", near=None):
        """Do it with both; True if both could, and what they returned is the same."""
        before, warned = copy.deepcopy((self.ours, self.theirs)), ([], [])
        ours, theirs = outcome(lambda: do(self.ours), warned[0]), outcome(lambda: do(self.theirs), warned[1])
        if isinstance(ours, Exception) or isinstance(theirs, Exception):
            if isinstance(ours, Exception):
                self.theirs = before[1]  # a fit that fails leaves ours, but not theirs, as it was
            else:
                self.ours, self.theirs = before
            if not same_kind(ours, theirs) and not self.expected(ours, theirs):
                self.differ(f"{what} ours: {ours!r}; theirs: {theirs!r}")
            return False
        self.compare(what, ours, theirs, near)
        said = [{(about.category.__name__, str(about.message)[:40]) for about in caught} for caught in warned]
        if said[0] != said[1] and not self.may_stop_apart:
            self.differ(f"{what} warnings of ours: {said[0]}; of theirs: {said[1]}")
        return not self.differences

    @property
    def may_stop_apart(self):
        """Whether rounding may decide which epoch is the last."""
        model = self.theirs
        return model.early_stopping or model.n_iter_no_change < model.max_iter or model.solver == "lbfgs"

    def expected(self, ours, theirs):
        """Whether ours may raise, or not, where theirs does not, or does."""
        if isinstance(ours, ValueError) and "cannot go on from a network with" in str(ours):
            return True  # what scikit-learn does then is not what its parameters say
        if isinstance(ours, AttributeError) and self.theirs.solver == "lbfgs":
            return not self.classifies  # scikit-learn's regressor means to refuse partial_fit too
        if isinstance(ours, ValueError):
            return isinstance(theirs, INTERNAL)
        if isinstance(theirs, NotFittedError):
            return False
        # other measures of what was reached so far, or none after lbfgs, integers for weights, batches without weight
        return isinstance(theirs, (AttributeError, TypeError, ZeroDivisionError))

    def differ(self, what):
        self.differences.append("\n    ".join([f"seed {self.seed}: {what}", *self.history]))

    @property
    def resized(self):
        sizes = np.atleast_1d(self.theirs.hidden_layer_sizes).tolist()
        return sizes != [coef.shape[1] for coef in self.theirs.coefs_[:-1]]

    def compare(self, name, ours, theirs, near=None, relative=1e-4):
        """Types, shapes and values; ``near`` marks rows where rounding decides between classes."""
        if isinstance(theirs, Real):
            near_enough = isinstance(ours, Real) and abs(ours - theirs) <= relative * max(1.0, abs(theirs))
            if not near_enough and ours != theirs:
                borders = name == "score" and self.classifies and near is not None and near.any()
                if not borders and not (np.isnan(ours) and np.isnan(theirs)) and relative < np.inf:
                    self.differ(f"{name}: ours {ours!r}, theirs {theirs!r}")
            return
        if sparse.issparse(theirs) and type(ours) is type(theirs):
            ours, theirs = ours.toarray(), theirs.toarray()
        if type(ours) is not type(theirs):
            self.differ(f"{name}: ours is {type(ours).__name__} {ours!r:.80}, theirs {type(theirs).__name__}")
        elif isinstance(theirs, np.ndarray):
            if name in ("classes_", "predict") and ours.dtype.kind in "OU":  # labels keep the type that they came in
                theirs = theirs.astype(ours.dtype)
            whole = not self.classifies and theirs.dtype.kind == "i"  # of whole weights and whole rows
            if (ours.dtype, ours.shape) != (np.dtype(float) if whole else theirs.dtype, theirs.shape):
                self.differ(f"{name}: ours {ours.dtype} {ours.shape}, theirs {theirs.dtype} {theirs.shape}")
            elif theirs.dtype.kind != "f":
                wrong = ours != theirs if near is None else (ours != theirs) & near.reshape(near.shape[: ours.ndim])
                self.differ_where(name, wrong if near is None else (ours != theirs) & ~wrong, ours, theirs)
            else:
                self.differ_where(name, ~close(name, ours, theirs, relative), ours, theirs)
        elif isinstance(theirs, list):
            if len(ours) != len(theirs):
                self.differ(f"{name}: ours has {len(ours)} items, theirs {len(theirs)}")
            for position, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
                self.compare(f"{name}[{position}]", mine, other, relative=relative)
        elif ours is not theirs and ours != theirs:
            self.differ(f"{name}: ours {ours!r}, theirs {theirs!r}")

    def differ_where(self, name, wrong, ours, theirs):
        if wrong.any():
            self.differ(f"{name}: ours {ours[wrong][:3]}, theirs {theirs[wrong][:3]}, in {wrong.sum()} places")

    def compare_attributes(self):
        """What a fit has left: the same names and types; losses, and weights where both saw the same batches."""
        ours, theirs = (
            {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
            for model in (self.ours, self.theirs)
        )
        if missing := (ours ^ theirs) - OURS_ALONE:
            self.differ(f"attributes of one alone: {missing}")
        lossy = {"loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_"}
        apart = {"loss_curve_", "validation_scores_", "n_iter_", "t_"} if self.may_stop_apart else set()
        for name in sorted((theirs & ours) - apart):
            mine, other = getattr(self.ours, name), getattr(self.theirs, name)
            weights = name in ("coefs_", "intercepts_")
            relative = 1e-4 if not weights and name not in lossy else 0.01 if self.alike else np.inf
            self.compare(name, mine, other, relative=relative)
        losses = self.ours.loss_, self.theirs.loss_
        if not (self.theirs.early_stopping or np.isclose(*losses, rtol=0.9, atol=0.3)):  # other orders, other batches
            self.differ(f"loss_: ours {losses[0]}, theirs {losses[1]}")

    def give_weights(self):
        """Let scikit-learn's go on from the weights of ours, in its own types."""
        for name in ("coefs_", "intercepts_"):
            pairs = zip(getattr(self.ours, name), getattr(self.theirs, name), strict=False)
            setattr(self.theirs, name, [np.array(mine, other.dtype) for mine, other in pairs])
        self.theirs._best_coefs, self.theirs._best_intercepts = self.theirs.coefs_, self.theirs.intercepts_

    def give_both(self, change):
        if not hasattr(self.theirs, "coefs_"):
            return
        coefs, biases = change(self.theirs.coefs_, self.theirs.intercepts_)
        self.history.append(f"assign {[(coef.shape, coef.dtype.name) for coef in coefs]}")
        by_item = self.chance(0.3) and len(coefs) == len(self.theirs.coefs_)
        for model in (self.ours, self.theirs):
            given = [np.copy(coef, "K") for coef in coefs], [np.copy(bias) for bias in biases]
            if by_item:
                model.coefs_[:], model.intercepts_[:] = given
            else:
                model.coefs_, model.intercepts_ = given
        self.theirs._best_coefs, self.theirs._best_intercepts = self.theirs.coefs_, self.theirs.intercepts_

    def near_a_border(self, x):
        """Rows where the classes are so close to each other that rounding decides, shape (rows, 1) or per label."""
        probabilities = outcome(lambda: self.theirs.predict_proba(x)) if self.classifies else None
        if not isinstance(probabilities, np.ndarray):
            return None
        if self.kind == "multilabel":
            return np.abs(probabilities - 0.5) < 1e-4
        best = np.sort(probabilities, axis=1)
        return best[:, -1:] - best[:, -2:-1] < 1e-4


def outcome(do, warned=None):
    """What a call returns or raises; its warnings are added to a list."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return do()
        except Exception as error:
            return error
        finally:
            if warned is not None:
                warned += [about for about in caught if about.category is not RuntimeWarning]


def close(name, ours, theirs, relative):
    """Where values agree, relative to the largest; of logarithms only where those of scikit-learn's have digits."""
    if name == "predict_log_proba":
        exact = theirs > 0.4 * np.log(np.finfo(theirs.dtype).eps)
        return np.where(exact, np.abs(ours - theirs) <= 10 * relative, ours <= 0.0)
    with np.errstate(invalid="ignore"):
        largest = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=1.0))
        return (ours == theirs) | (np.abs(ours - theirs) <= relative * largest)


def same_kind(ours, theirs):
    """Whether both are exceptions, of which one is of the other's class."""
    both = isinstance(ours, Exception) and isinstance(theirs, Exception)
    return both and (isinstance(ours, type(theirs)) or isinstance(theirs, type(ours)))
