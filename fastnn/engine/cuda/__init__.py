"""The same on a GPU, under the same names of files."""
