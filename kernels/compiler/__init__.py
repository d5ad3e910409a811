"""How plain functions become programs, and where those are kept."""
