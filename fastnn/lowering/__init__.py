"""Declared layers become tables: the plan, places of weights, the workspace of a batch, the objective."""
