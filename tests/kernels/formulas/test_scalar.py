"""The scalar formulas: error bounds, special values, derivatives, and the same results plain and compiled."""

import functools
import inspect
import math
import re

import numpy as np
import pytest
from fastnn.kernels import reference
from fastnn.kernels.compiler import jit
from fastnn.kernels.formulas import activations, elementary, losses, optimizers
from scipy import special

FLOATS = (np.float32, np.float64)
LARGEST_EXPONENT = {np.float32: 88.0, np.float64: 708.0}

# name: (reference in extended precision, bound in units in the last place, domain)
ELEMENTARY = {
    "exp": (np.exp, 2.5, (-np.inf, np.inf)),
    "expm1": (np.expm1, 2.5, (-np.inf, np.inf)),
    "tanh": (np.tanh, 3.0, (-np.inf, np.inf)),
    "sigmoid": (lambda x: 1.0 / (1.0 + np.exp(-x)), 3.0, (-np.inf, np.inf)),
    "erf": (lambda x: special.erf(x.astype(np.float64)).astype(np.longdouble), 4.5, (-np.inf, np.inf)),
    "log": (np.log, 2.5, (0.0, np.inf)),
    "log1p_unit": (np.log1p, 2.5, (0.0, 1.0)),
    "softplus": (lambda x: np.logaddexp(np.longdouble(0.0), x), 4.0, (-np.inf, np.inf)),
}

ALPHA = {"leaky_relu": 0.2, "elu": 1.5}
DIFFERENTIABLE = [name for name, each in activations.ACTIVATIONS.items() if each.derivative]


def formula(name):
    return next(getattr(module, name) for module in (elementary, activations, losses) if hasattr(module, name))


def plain(name, x):
    with np.errstate(all="ignore"):
        return np.array([formula(name)(value) for value in x], x.dtype)


def compiled(name, x):
    return compiled_loop(name, np.dtype(x.dtype))(x, np.empty_like(x))


@functools.cache
def compiled_loop(name, dtype):
    function = formula(name)

    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])
        return y

    loop.__name__ = f"loop_{name}"  # the disk cache knows programs by their names
    return jit.program(loop, dtype)


def samples(rng, dtype, low, high, count):
    """Numbers of all sizes in a domain: uniform ones, small ones of any exponent, and random bit patterns."""
    edge = LARGEST_EXPONENT[dtype]
    small = np.exp(rng.uniform(-80.0, 0.0, count)) * rng.choice([-1.0, 1.0], count)
    spread = [rng.uniform(-1.05 * edge, 1.05 * edge, count), rng.uniform(-6.0, 6.0, count), small]
    with np.errstate(all="ignore"):
        spread.append(rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32).astype(np.float64))
        x = np.concatenate(spread).astype(dtype)
    x = np.abs(x) if low == 0.0 else x
    return x[(np.abs(x) >= np.finfo(dtype).tiny) & (x >= low) & (x <= high) & np.isfinite(x)]


def largest_error(y, x, exact):
    """Largest error in units in the last place, where the true result is a normal number."""
    with np.errstate(all="ignore"):
        true = exact(x.astype(np.longdouble))
        limits = np.finfo(x.dtype)
        normal = (np.abs(true) >= limits.tiny) & (np.abs(true) < limits.max * (1 - limits.eps))
        unit = np.spacing(np.abs(true[normal]).astype(x.dtype))
        return float(np.max(np.abs(y[normal] - true[normal]) / unit))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ELEMENTARY)
@pytest.mark.parametrize(("evaluate", "count"), [(plain, 500), (compiled, 200_000)])
def test_error_bound(rng, name, dtype, evaluate, count):
    exact, bound, domain = ELEMENTARY[name]
    x = samples(rng, dtype, *domain, count)
    assert largest_error(evaluate(name, x), x, exact) <= bound


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("evaluate", [plain, compiled])
@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "exp": (1, 1, np.inf, 0, np.inf, 0),
        "expm1": (0, 0, np.inf, -1, np.inf, -1),
        "tanh": (0, 0, 1, -1, 1, -1),
        "sigmoid": (0.5, 0.5, 1, 0, 1, 0),
        "erf": (0, 0, 1, -1, 1, -1),
        "relu": (0, 0, 1e30, 0, np.inf, 0),
        "selu": (0, 0, 1.0507009873554805e30, -1.7580993408473766, np.inf, -1.7580993408473766),
        "softplus": (math.log(2), math.log(2), 1e30, 0, np.inf, 0),
        "silu": (0, 0, 1e30, 0, np.inf, None),  # -inf: NaN, as it is for the product x * sigmoid(x) elsewhere
        "gelu": (0, 0, 1e30, 0, np.inf, None),
        "step": (0, 0, 1, 0, 1, 0),
    }.items(),
)
def test_special_values(name, expected, evaluate, dtype):
    x = np.array([0.0, -0.0, 1e30, -1e30, np.inf, -np.inf], dtype)
    wanted = np.array([np.nan if value is None else value for value in expected], dtype)
    np.testing.assert_allclose(evaluate(name, x), wanted, rtol=4 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("evaluate", [plain, compiled])
@pytest.mark.parametrize("name", [*ELEMENTARY, "relu", "selu", "gelu", "gelu_grad", "silu", "silu_grad"])
def test_nan_stays_nan(name, evaluate, dtype):
    assert np.isnan(evaluate(name, np.array([np.nan], dtype))).all()


@pytest.mark.parametrize(
    "name", ["crossentropy", "binary_crossentropy", "logit_crossentropy", "absolute_error_grad", "log_cosh"]
)
def test_nan_reaches_the_loss(name):
    assert math.isnan(formula(name)(math.nan, 1.0))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("evaluate", [plain, compiled])
def test_subnormal_arguments(evaluate, dtype):
    x = np.array([1, -1], dtype) * np.finfo(dtype).smallest_subnormal
    tiny = np.finfo(dtype).tiny
    assert (evaluate("exp", x) == 1.0).all()
    assert (evaluate("sigmoid", x) == 0.5).all()
    for name in ("expm1", "tanh", "erf", "relu"):
        assert (np.abs(evaluate(name, x)) <= tiny).all(), name


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("evaluate", [plain, compiled])
def test_exp_passes_to_its_limits(evaluate, dtype):
    limits = np.finfo(dtype)
    top, bottom = np.log(limits.max.astype(np.float64)), np.log(limits.tiny.astype(np.float64))
    below, above, normal, vanished = evaluate(
        "exp", np.array([top * (1 - 1e-6), top * (1 + 1e-6), bottom * (1 - 1e-6), bottom * (1 + 1e-6)], dtype)
    )
    assert np.isfinite(below)
    assert above == np.inf
    assert normal >= limits.tiny
    assert vanished == 0.0


@pytest.mark.parametrize("dtype", FLOATS)
def test_plain_functions_keep_the_type(dtype):
    for module in (elementary, activations, losses, optimizers):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            others = name in ("select", "_is_single", "_by_precision") or name.startswith("on_")  # these make functions
            if function.__module__ == module.__name__ and not others:
                arguments = [dtype(0.25)] * len(inspect.signature(function).parameters)
                made = function(*arguments)
                for result in made if type(made) is tuple else (made,):
                    assert type(result) is dtype or result in (0.0, 1.0), name  # constants serve either type
    assert type(elementary.select(True, 1.0, dtype(2.0))) is dtype


def library_calls(loop, dtype):
    loop(np.ones(8, dtype), np.empty(8, dtype))
    (assembly,) = loop.inspect_asm().values()
    return re.findall(r"\b(?:exp|expm1|tanh|erf|log|log1p|pow|ldexp|frexp)f?\b", assembly)


@pytest.mark.parametrize("dtype", FLOATS)
def test_compiled_code_calls_no_library(dtype, fresh_cache):  # code from the cache cannot be looked at
    import numba

    @numba.njit
    def control(x, y):
        y[0] = math.tanh(x[0])

    assert library_calls(control, dtype)
    for name in ("tanh", "gelu", "softplus"):
        assert not library_calls(compiled_loop.__wrapped__(name, np.dtype(dtype)), dtype), name


def alpha_of(name):
    return (ALPHA.get(name, 0.0),) * activations.ACTIVATIONS[name].parametric


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_activation_is_the_oracles(name):
    z = np.linspace(-12.0, 12.0, 481)
    y = np.array([activations.ACTIVATIONS[name].formula(value, *alpha_of(name)) for value in z.tolist()])
    np.testing.assert_allclose(y, reference.activation(name, z, ALPHA.get(name, 0.0)), rtol=1e-14, atol=2e-15)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivative_is_the_slope(name):
    activation, alpha, step = activations.ACTIVATIONS[name], alpha_of(name), 1e-5
    for z in np.linspace(-6.0, 6.0, 121) + 0.013:  # off the corner at 0
        z = float(z)
        slope = (activation.formula(z + step, *alpha) - activation.formula(z - step, *alpha)) / (2.0 * step)
        given = activation.derivative(z if activation.of_input else activation.formula(z, *alpha), *alpha)
        assert given == pytest.approx(slope, rel=1e-8, abs=1e-9), z
        oracle = reference.activation_gradient(name, [z], ALPHA.get(name, 0.0), [1.0])[0]
        assert given == pytest.approx(oracle, rel=1e-13, abs=1e-15), z


def test_derivatives_at_zero():
    assert activations.relu_grad(0.0) == 0.0
    assert activations.leaky_relu_grad(0.0, 0.2) == 0.2
    assert activations.elu_grad(0.0, 1.0) == 1.0
    assert losses.absolute_error_grad(3.0, 3.0) == 0.0


LOSSES = {  # value, gradient, parameters of the oracle, and of the formulas
    "mean_squared_error": ("squared_error", "squared_error_grad", {}, ()),
    "mean_absolute_error": ("absolute_error", "absolute_error_grad", {}, ()),
    "huber": ("huber", "huber_grad", {"delta": 0.4}, (0.4,)),
    "log_cosh": ("log_cosh", "log_cosh_grad", {}, ()),
    "quantile": ("pinball", "pinball_grad", {"levels": 0.2}, (0.2,)),
    "binary_crossentropy": ("binary_crossentropy", "binary_crossentropy_grad", {}, ()),
    "binary_crossentropy_from_logits": ("logit_crossentropy", "logit_crossentropy_grad", {}, ()),
    "binary_focal_crossentropy": (
        "binary_focal", "binary_focal_grad",
        {"gamma": 1.7, "alpha": 0.3, "apply_class_balancing": True}, (1.7, 0.3, 0.7),
    ),
    "binary_focal_crossentropy_from_logits": ("logit_focal", "logit_focal_grad", {"gamma": 2.0}, (2.0, 1.0, 1.0)),
    "poisson": ("poisson", "poisson_grad", {}, ()),
    "poisson_from_logits": ("log_rate_poisson", "log_rate_poisson_grad", {}, ()),
    "poisson_deviance": ("poisson_deviance", "poisson_grad", {}, ()),
    "poisson_deviance_from_logits": ("log_rate_deviance", "log_rate_poisson_grad", {}, ()),
}  # fmt: skip
ON_PROBABILITIES = ("binary_crossentropy", "binary_focal_crossentropy")


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_its_slope(name, target):
    *formulas_of_it, options, parameters = LOSSES[name]
    value, gradient = (getattr(losses, formula) for formula in formulas_of_it)
    points = [1e-9, 1e-4, 0.21, 0.7, 0.9999, 1.0 - 1e-9]
    others = {"poisson": [40.0], "poisson_deviance": [40.0], "binary_focal_crossentropy_from_logits": [-30.0, 30.0]}
    points += [] if name in ON_PROBABILITIES else others.get(name, [-800.0, -3.0, 40.0])
    # the focal oracle takes 1 - p, whose digits are few for a sure output
    close = {"rel": 1e-6, "abs": 1e-9} if "focal" in name else {"rel": 1e-12, "abs": 1e-15}
    for y in points:
        output = np.array([[y]])
        value_there = value(y, target, *parameters)
        assert value_there == pytest.approx(reference.loss(name, [[target]], output, **options)[0], **close)
        given, step = gradient(y, target, *parameters), min(1e-5, abs(y) / 100.0, abs(1.0 - y) / 100.0)
        oracle = reference.loss_gradient(name, [[target]], output, **options)[0, 0]
        assert given == pytest.approx(oracle, **close)
        if abs(y - target) > step and 1e-7 < y < 1.0 - 1e-7:
            above, below = value(y + step, target, *parameters), value(y - step, target, *parameters)
            assert given == pytest.approx((above - below) / (2.0 * step), rel=1e-4, abs=1e-6), y


def test_huge_logits_of_focal_losses():
    for target, z in ((0.0, 1e30), (1.0, -1e30)):
        assert losses.logit_focal(z, target, 2.0, 1.0, 1.0) == 1e30
        assert losses.logit_focal_grad(z, target, 2.0, 1.0, 1.0) == 1.0 - 2.0 * target
        assert losses.logit_focal(-z, target, 0.5, 1.0, 1.0) == 0.0
        assert abs(losses.logit_focal_grad(-z, target, 0.5, 1.0, 1.0)) < 1e-15


def test_power():
    for x in (1e-3, 0.3, 1.0, 7.0):
        for y in (0.0, 0.5, 2.0, 5.0):
            assert elementary.power(x, y) == pytest.approx(x**y, rel=1e-14)
    assert elementary.power(0.0, 0.0) == 1.0
    assert elementary.power(0.0, 2.0) < 1e-75
    assert math.isnan(elementary.power(math.nan, 2.0))


def test_crossentropy_terms_sum_to_the_oracles_loss(rng):
    p = reference.activation("softmax", rng.normal(size=(5, 4)))
    target = np.eye(4)[[0, 1, 2, 3, 0]]
    term = losses.crossentropy
    terms = [[term(*pair) for pair in zip(*rows, strict=True)] for rows in zip(p, target, strict=True)]
    np.testing.assert_allclose(np.sum(terms, axis=1), reference.loss("categorical_crossentropy", target, p), rtol=1e-13)
    assert losses.crossentropy_grad(0.25, 1.0) == -4.0
    assert losses.crossentropy_grad(1e-8, 1.0) == 0.0


@pytest.mark.parametrize(
    ("name", "hyperparameters"),
    [
        ("sgd", (0.1, 0.0, 0.0, 0.0, 0.0, 0.0)),
        ("sgd", (0.1, 0.9, 0.0, 0.0, 0.0, 0.0)),
        ("sgd", (0.1, 0.9, 0.0, 0.0, 0.0, 1.0)),
        ("rmsprop", (0.01, 0.0, 0.9, 1e-7, 0.0, 0.0)),
        ("rmsprop", (0.01, 0.5, 0.9, 1e-7, 0.0, 0.0)),
        ("adam", (0.01, 0.9, 0.999, 1e-7, 0.0, 0.0)),
        ("adamw", (0.01, 0.9, 0.999, 1e-7, 0.004, 0.0)),
    ],
)
def test_optimizers_are_the_oracles(rng, name, hyperparameters):
    rate, beta_1, beta_2, epsilon, decay, nesterov = hyperparameters
    gradients = rng.normal(size=8).tolist()
    w, m, v = 0.7, 0.0, 0.0
    flat, state = np.array([w]), {}
    for count, g in enumerate(gradients, 1):
        if name == "sgd":
            m = optimizers.velocity(m, g, beta_1, rate)
            w = optimizers.nesterov(w, m, g, beta_1, rate) if nesterov else w + m
            if beta_1 == 0.0:
                assert optimizers.sgd(flat[0], g, rate) == pytest.approx(w, rel=1e-14)
        elif name == "rmsprop":
            v = optimizers.second_moment(v, g, 1.0 - beta_2)
            m = optimizers.rmsprop_momentum(m, optimizers.rmsprop_step(g, v, rate, epsilon), beta_1)
            w -= m
        else:
            w = optimizers.decayed(w, rate * decay)
            m = optimizers.first_moment(m, g, 1.0 - beta_1)
            v = optimizers.second_moment(v, g, 1.0 - beta_2)
            corrected = rate * math.sqrt(1.0 - beta_2**count) / (1.0 - beta_1**count)
            w -= optimizers.adam_step(m, v, corrected, epsilon)
        reference.optimizer_step(name, hyperparameters, flat, np.array([g]), state)
        assert w == pytest.approx(flat[0], rel=1e-13)


def test_l2_gradient():
    assert optimizers.l2_grad(3.0, 0.5) == 3.0
