"""Compiled kernels; the import name is ``fastnn.kernels``."""

if __name__ != "fastnn.kernels":
    raise ImportError("this folder is the package fastnn.kernels: use `from fastnn import kernels`, not its bare name")
