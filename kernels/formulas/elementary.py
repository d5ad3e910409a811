"""Elementary functions on one number: each formula once, in plain Python, for every precision and target.

The functions work as they stand on Python floats and on NumPy scalars, whose type the result keeps, and
``compiler/jit.py`` compiles the same source for each element type. So they hold float constants only (1.0, not 1), call
nothing from NumPy, and have no branches: `select` takes one of two finished values, which LLVM turns into
vector code. Two tables say what compiled code must treat specially:

- ``PRIMITIVES``: functions that become one instruction or a move of bits;
- ``BY_PRECISION``: coefficients and ranges that differ between float32 and float64, as (float32, float64).

The polynomials are minimax fits (Remez) computed with 60 digits; the error bounds in the docstrings are tested
(``tests/kernels/formulas/test_scalar.py``). NaN stays NaN. Results below the smallest normal number may become zero.
"""

import math

LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has 9 bits, so its product with an exponent is exact in either precision.
LN2_HIGH = 0.693359375
LN2_LOW = -0.00021219444005469057
SMALLEST = 1.1754943508222875e-38  # normal float32

PRIMITIVES = ("pow2", "exponent", "mantissa", "sqrt", "floor", "absolute", "select")


def pow2(n):
    """2**n for an integer-valued n from -127 to 128 (float64: -1023 to 1024), the ends giving 0 and infinity."""
    largest = 128.0 if _is_single(n) else 1024.0
    if n != n:
        return n
    return type(n)(math.inf if n >= largest else 0.0 if n <= 1.0 - largest else math.ldexp(1.0, int(n)))


def exponent(x):
    """Exponent e of a normal x = m * 2**e > 0 with m in [sqrt(1/2), sqrt(2)), as a float."""
    fraction, power = math.frexp(x)
    return type(x)(power - (fraction < math.sqrt(0.5)))


def mantissa(x):
    """Mantissa m of a normal x = m * 2**e > 0 with m in [sqrt(1/2), sqrt(2))."""
    fraction, _ = math.frexp(x)
    return type(x)(2.0 * fraction if fraction < math.sqrt(0.5) else fraction)


def sqrt(x):
    """Square root; NaN below zero."""
    return type(x)(math.sqrt(x) if x >= 0.0 else math.nan)


def floor(x):
    """Largest integer not above x."""
    return type(x)(math.floor(x)) if math.isfinite(x) else x


def absolute(x):
    """Magnitude of x."""
    return abs(x)


def select(condition, x, y):
    """Return x where the condition holds, else y, both computed beforehand."""
    kind = type(y) if type(x) is float else type(x)
    return kind(x if condition else y)


def _is_single(x):
    return getattr(x, "itemsize", 8) == 4


def _by_precision(name, x):
    return type(x)(BY_PRECISION[name][not _is_single(x)](x))


# --- exponential family ---------------------------------------------------------------------------------------


def exp(x):
    """e**x within 2.5 units in the last place; 0 below the normal numbers, infinity above the largest."""
    t = exp_range(x)
    n = floor(t * LOG2_E)
    r = t - n * LN2_HIGH - n * LN2_LOW
    return pow2(n) * (1.0 + r * (1.0 + r * exp_series(r)))


def expm1(x):
    """e**x - 1 within 2.5 units in the last place, also near 0."""
    t = exp_range(x)
    t = select(t < -60.0, -60.0, t)
    n = floor(t * LOG2_E + 0.5)
    r = t - n * LN2_HIGH - n * LN2_LOW
    half = pow2(n - 1.0)
    return 2.0 * (half * (r + r * r * exp_series(r)) + (half - 0.5))


def tanh(x):
    """Hyperbolic tangent within 3 units in the last place, also near 0."""
    e = expm1(-2.0 * absolute(x))
    y = e / (e + 2.0)
    return select(x > 0.0, -y, y)


def sigmoid(x):
    """1 / (1 + e**-x) within 3 units in the last place."""
    return 1.0 / (1.0 + exp(-x))


def erf(x):
    """Error function within 4.5 units in the last place.

    One form serves all x: 1 - erf(t) = exp(-t q(t)) for t >= 0, with q a polynomial.
    """
    y = expm1(-erf_exponent(absolute(x)))
    return select(x > 0.0, -y, y)


# --- logarithms -----------------------------------------------------------------------------------------------


def log(x):
    """Natural logarithm of a normal x > 0 within 2.5 units in the last place."""
    n = exponent(x)
    m = mantissa(x)
    s = (m - 1.0) / (m + 1.0)
    u = s * s
    y = n * LN2_HIGH + (n * LN2_LOW + (2.0 * s + 2.0 * s * u * atanh_series(u)))
    return select(x == x, y, x)


def log1p_unit(t):
    """log(1 + t) for t in [0, 1] as 2 atanh(t / (2 + t)) within 2.5 units in the last place."""
    s = t / (2.0 + t)
    u = s * s
    return 2.0 * s + 2.0 * s * u * atanh_series(u)


def power(x, y):
    """x**y for x >= 0 and y >= 0; what lies below the normal numbers is taken for the smallest of them."""
    return exp(y * log(select(x < SMALLEST, SMALLEST, x)))


# --- ranges and polynomials that depend on the precision --------------------------------------------------------


def exp_range(x):
    """Clamp x to where e**x passes from 0 to infinity."""
    return _by_precision("exp_range", x)


def _exp_range_f32(x):
    t = select(x > 89.0, 89.0, x)
    return select(t < -88.0, -88.0, t)


def _exp_range_f64(x):
    t = select(x > 710.0, 710.0, x)
    return select(t < -709.0, -709.0, t)


def exp_series(r):
    """(e**r - 1 - r) / r**2 for r in [-ln(2)/2, ln(2)]."""
    return _by_precision("exp_series", r)


def _exp_series_f32(r):
    p = 0.00022636629
    p = p * r + 0.0013886894
    p = p * r + 0.008327924
    p = p * r + 0.041667033
    p = p * r + 0.16666691
    return p * r + 0.5


def _exp_series_f64(r):
    p = 2.423749274673181e-09
    p = p * r + 2.4893619415025718e-08
    p = p * r + 2.755085831926663e-07
    p = p * r + 2.7557908601860976e-06
    p = p * r + 2.4801587837499725e-05
    p = p * r + 0.00019841269154908842
    p = p * r + 0.001388888889342205
    p = p * r + 0.00833333333365454
    p = p * r + 0.0416666666666452
    p = p * r + 0.16666666666666177
    return p * r + 0.5000000000000002


def atanh_series(u):
    """(atanh(s) / s - 1) / s**2 with u = s**2 in [0, 1/9]."""
    return _by_precision("atanh_series", u)


def _atanh_series_f32(u):
    p = 0.14005974
    p = p * u + 0.14000908
    p = p * u + 0.20010763
    return p * u + 0.3333321


def _atanh_series_f64(u):
    p = 0.08504843886669344
    p = p * u + 0.04172505684092819
    p = p * u + 0.06052467524243598
    p = p * u + 0.06650561367791899
    p = p * u + 0.07693274139515616
    p = p * u + 0.09090872242512409
    p = p * u + 0.11111111976727157
    p = p * u + 0.14285714274060812
    p = p * u + 0.20000000000077542
    return p * u + 0.33333333333333154


def erf_exponent(t):
    """-log(1 - erf(t)) for t >= 0, held constant from where erf(t) rounds to 1."""
    return _by_precision("erf_exponent", t)


def _erf_exponent_f32(t):
    t = select(t > 4.0, 4.0, t)
    return t * _erf_series_f32(t)


def _erf_exponent_f64(t):
    t = select(t > 6.0, 6.0, t)
    return t * _erf_series_f64(t)


def _erf_series_f32(t):
    p = -9.256235e-06
    p = p * t + 0.00011764102
    p = p * t - 0.000632836
    p = p * t + 0.0016670261
    p = p * t - 0.00016039486
    p = p * t - 0.019153064
    p = p * t + 0.10277783
    p = p * t + 0.6366194
    return p * t + 1.1283792


def _erf_series_f64(t):
    p = 1.1801075636344993e-14
    p = p * t - 4.755223207960532e-13
    p = p * t + 8.721607267063208e-12
    p = p * t - 9.548708222695108e-11
    p = p * t + 6.811194309627339e-10
    p = p * t - 3.1531839140150717e-09
    p = p * t + 7.782364868315666e-09
    p = p * t + 8.3726102544755e-09
    p = p * t - 1.7409912430540483e-07
    p = p * t + 8.537281782280252e-07
    p = p * t - 2.4298194702783724e-06
    p = p * t + 3.5647127774759864e-06
    p = p * t + 2.7958369196956133e-06
    p = p * t - 2.9323517356008166e-05
    p = p * t + 6.428999637015165e-05
    p = p * t + 2.5955215232627285e-05
    p = p * t - 0.0005901468165903816
    p = p * t + 0.0016962105309875767
    p = p * t - 0.00020919523049759976
    p = p * t - 0.019128446963043035
    p = p * t + 0.10277260330005886
    p = p * t + 0.6366197723676116
    return p * t + 1.1283791670955126


BY_PRECISION = {
    "exp_range": (_exp_range_f32, _exp_range_f64),
    "exp_series": (_exp_series_f32, _exp_series_f64),
    "atanh_series": (_atanh_series_f32, _atanh_series_f64),
    "erf_exponent": (_erf_exponent_f32, _erf_exponent_f64),
}
