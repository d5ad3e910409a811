"""The perceptron's learning rule, in plain loops."""

from ..formulas.activations import step
from ..operations.random import shuffle


def perceptron_epochs(x, target, weights, bias, rate, shuffled, key_0, key_1, first_epoch, order, mistakes):
    """Go through the rows once for each element of ``mistakes``, or until a pass makes none; return the passes made.

    x is (n, d), target (n,) holds 0 and 1. Changes weights (d,) and bias (1,) after each mistake and writes the
    number of mistakes of each pass; order (n,) is 0 .. n-1, or the workspace of the shuffle.
    """
    n, d = x.shape
    for epoch in range(mistakes.size):
        if shuffled:
            shuffle(order, n, first_epoch + epoch, key_0, key_1)
        mistakes[epoch] = 0
        for i in order:
            total = bias[0]
            for j in range(d):
                total += weights[j] * x[i, j]
            error = target[i] - step(total)
            if error != 0.0:
                mistakes[epoch] += 1
                change = rate * error
                bias[0] += change
                for j in range(d):
                    weights[j] += change * x[i, j]
        if mistakes[epoch] == 0:
            return epoch + 1
    return mistakes.size
