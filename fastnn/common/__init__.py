"""What any room may need and that knows none of them."""
