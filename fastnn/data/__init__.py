"""What users hand in becomes checked arrays, on the host or on a GPU, whole or in chunks."""
