"""Kernels written for CPUs."""
