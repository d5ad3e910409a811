"""Four neighboring numbers loaded and stored at once: 16 bytes of float32 in one instruction.

The first of them must stand on a multiple of four, counted from the start of memory.
"""

from __future__ import annotations

from .jit import SIMULATED

if SIMULATED:

    def load4(base, offset):
        """Elements ``offset`` .. ``offset`` + 3."""
        return base[offset], base[offset + 1], base[offset + 2], base[offset + 3]

    def store4(base, offset, a, b, c, d):
        """Write elements ``offset`` .. ``offset`` + 3."""
        base[offset], base[offset + 1], base[offset + 2], base[offset + 3] = a, b, c, d

else:
    from llvmlite import ir

    from .jit import cuda_types, intrinsic

    I32 = ir.IntType(32)

    def _vector(context, builder, base, arguments):
        """Pointer to a vector of four elements, and its type."""
        address, offset = arguments
        if isinstance(base, cuda_types.Array):
            address = context.make_array(base)(context, builder, address).data
        kind = ir.VectorType(context.get_value_type(base.dtype), 4)
        return builder.bitcast(builder.gep(address, [offset]), kind.as_pointer()), kind

    @intrinsic
    def load4(typingctx, base, offset):
        """Elements ``offset`` .. ``offset`` + 3."""

        def codegen(context, builder, signature, arguments):
            pointer, _ = _vector(context, builder, base, arguments)
            vector = builder.load(pointer, align=16)
            return context.make_tuple(
                builder, signature.return_type, [builder.extract_element(vector, I32(i)) for i in range(4)]
            )

        return cuda_types.UniTuple(base.dtype, 4)(base, cuda_types.intp), codegen

    @intrinsic
    def store4(typingctx, base, offset, a, b, c, d):
        """Write elements ``offset`` .. ``offset`` + 3."""

        def codegen(context, builder, signature, arguments):
            pointer, kind = _vector(context, builder, base, arguments[:2])
            vector = ir.Constant(kind, ir.Undefined)
            for i, value in enumerate(arguments[2:]):
                vector = builder.insert_element(vector, value, I32(i))
            builder.store(vector, pointer, align=16)
            return context.get_dummy_value()

        return cuda_types.void(base, cuda_types.intp, *[base.dtype] * 4), codegen
