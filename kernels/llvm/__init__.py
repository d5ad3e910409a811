"""Python that emits LLVM code: instructions, vectors, loops over them, register tiles."""
