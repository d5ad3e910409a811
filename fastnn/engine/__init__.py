"""A lowered network at work: weights, runs, predictions, evaluations. It knows no layer and no callback."""
