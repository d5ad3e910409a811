"""Kernels written for GPUs, under the names of their twins for CPUs."""
