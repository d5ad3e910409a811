"""Small networks: one block of threads for each."""
