"""The perceptron: one neuron that fires when its weighted sum is above zero, and learns from each mistake.

The rule after a mistake (Rosenblatt 1958): weights += learning_rate * (wanted - given) * inputs.
"""

import argparse

import numpy as np

from fastnn import Perceptron


def picnic_by_hand():
    """Go to the picnic? Three yes-or-no questions, weighed by how much each one matters."""
    perceptron = Perceptron()
    perceptron.coef_ = np.array([[5.0, 2.0, 4.0]])  # good weather, a friend comes too, it is near
    perceptron.intercept_ = np.array([-3.0])  # how hard it is to get up from the sofa
    answers = [[0, 1, 1]]
    total = perceptron.decision_function(answers)[0]
    fires = perceptron.predict(answers)[0]
    print(f"Picnic with weights (5, 2, 4), bias -3 and answers (0, 1, 1): {total:g}, {'fires' if fires else 'stays'}")
    return total, fires


def picnic_learned():
    """Show all eight answers and what follows from them; the perceptron finds weights of its own."""
    answers = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    go = (answers @ [5, 2, 4] - 3 > 0).astype(int)
    perceptron = Perceptron(random_state=0).fit(answers, go)
    print(
        f"Learned from examples: weights {perceptron.coef_[0]}, bias {perceptron.intercept_[0]:g}, "
        f"{perceptron.n_iter_} epochs, {perceptron.score(answers, go):.0%} right"
    )
    print("    (good weather or a short way is enough; a friend alone never was, so that weight may be 0)")
    return perceptron.score(answers, go)


def loan_learned():
    """A bank grants a loan if three incomes add up to more than 50,000; nobody tells the perceptron the rule."""
    incomes = np.random.default_rng(0).integers(0, 40, size=(300, 3))  # in thousands
    incomes = incomes[np.abs(incomes.sum(axis=1) - 50) >= 3]  # the clear cases
    granted = np.where(incomes.sum(axis=1) > 50, "granted", "refused")
    train, test = slice(None, 200), slice(200, None)

    perceptron = Perceptron(max_iter=10_000, random_state=0).fit(incomes[train], granted[train])
    # "refused" comes after "granted" in the alphabet, so the neuron fires for a refusal.
    weights = perceptron.coef_[0]
    limit = -perceptron.intercept_[0] / weights.mean()
    accuracy = perceptron.score(incomes[test], granted[test])
    print(f"Loan: relative weights {np.round(weights / weights.mean(), 2)}, limit about {1000 * limit:,.0f}")
    print(f"      {perceptron.n_iter_} epochs until no mistake was left, {accuracy:.0%} right on new households")
    return limit, accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    picnic_by_hand()
    picnic_learned()
    loan_learned()
