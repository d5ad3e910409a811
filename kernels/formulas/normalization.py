"""Normalization of one number, its gradients, and what is summed up for them: each formula once, in plain Python."""

from .elementary import select, sqrt

LEAST_DEVIATION = 1e-7


def same(x):
    """x itself, to be summed."""
    return x


def squared_distance(x, mean):
    """Squared distance from the mean, to be summed."""
    return (x - mean) * (x - mean)


def product_of_two(x, y):
    """x * y, to be summed."""
    return x * y


def product_of_three(x, y, z):
    """x * y * z, to be summed."""
    return x * y * z


def gradient_terms(dy, normal):
    """What one row adds to the gradients of gamma and beta."""
    return dy * normal, dy


def reciprocal_deviation(out, variance, epsilon):
    """1 / sqrt(variance + epsilon), written to ``out``."""
    return 1.0 / sqrt(variance + epsilon)


def reciprocal_of_root(out, variance):
    """1 / sqrt(variance), with Keras' least deviation, written to ``out``."""
    deviation = sqrt(variance)
    return 1.0 / select(deviation < LEAST_DEVIATION, LEAST_DEVIATION, deviation)


def standardized(out, x, mean, deviation):
    """Distance from the mean in deviations, given 1 / deviation, written to ``out``."""
    return (x - mean) * deviation


def affine(out, x, factor, summand):
    """x * factor + summand, written to ``out``."""
    return x * factor + summand


def folded(out, other_out, gamma, beta, mean, variance, epsilon):
    """Factor and summand that normalize, scale and shift in one step, written to both outputs."""
    factor = gamma / sqrt(variance + epsilon)
    return factor, beta - mean * factor


def batch_gradient(dy, normal, gamma, deviation, gamma_sum, beta_sum, per_row):
    """Gradient through a batch normalization of one element; the sums are the gradients of gamma and beta.

    ``per_row`` is 1 / rows.
    """
    return gamma * deviation * (dy - per_row * (beta_sum + normal * gamma_sum))


def layer_gradient(dy, normal, gamma, deviation, mean, weighted_mean):
    """Gradient through a layer normalization of one element; means over its row of dy * gamma, dy * gamma * normal."""
    return deviation * (dy * gamma - mean - normal * weighted_mean)
