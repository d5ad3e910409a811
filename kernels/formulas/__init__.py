"""Each formula once, on one number, in plain Python."""
