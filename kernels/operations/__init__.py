"""One source for both targets: activations, losses, optimizers, normalization, random numbers, the team."""
