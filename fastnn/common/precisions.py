"""The precisions that a network can compute in: types of numbers, and one of products alone."""

DTYPES = ("float32", "float64", MIXED := "mixed_bfloat16")
