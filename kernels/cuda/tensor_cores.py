"""Tensor cores: products of small matrices that 32 threads, a warp, compute together (PTX ISA, ``mma.sync``).

A warp multiplies 16 x K by K x 8 and adds the product to 16 x 8 sums of float32; K is 8 for TF32 (10 bits after
the leading one), 16 for bfloat16 (7 bits). Thread ``4 * g + q`` of a warp holds, of the left matrix, columns q and
q + 4 of rows g and g + 8; of the right one, rows q and q + 4 of column g; of the sums, columns 2 * q and 2 * q + 1 of
rows g and g + 8. bfloat16 go in pairs, which are neighbors along the sum and count as one column, or row. All of that
is known to this file alone.

In the simulator plain Python stands in for each instruction, with the same arrangement.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .gemm import Method
from .jit import SIMULATED, cuda

WORD = np.uint32

if SIMULATED:

    def _to_tf32(x):
        bits = np.float32(x).view(WORD)
        return WORD((int(bits) + 0x1000) & 0xFFFFE000)  # to nearest, ties away from zero

    def _to_bfloat16(x):
        bits = int(np.float32(x).view(WORD))
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16

    def to_tf32(x):
        """The nearest TF32 as 32 bits."""
        return _to_tf32(x)

    def to_pair(low, high):
        """The nearest bfloat16 of both numbers in one word."""
        return WORD(_to_bfloat16(high) << 16 | _to_bfloat16(low))

    def to_bfloat16(x):
        """The nearest bfloat16 as a float32."""
        return WORD(_to_bfloat16(x) << 16 & 0xFFFFFFFF).view(np.float32) if x == x else x

    def _as_floats(words, pairs):
        words = np.asarray(words, WORD)
        if not pairs:
            return words.view(np.float32)[..., None]
        return np.stack([words << WORD(16), words & WORD(0xFFFF0000)], axis=-1).view(np.float32)

    def _multiply(pairs, a, b, c):
        words, sums = cuda.shared.array((32, 32, 6), np.uint32), cuda.shared.array((32, 16, 8), np.float32)
        thread = cuda.threadIdx.x
        warp, lane = thread // 32, thread % 32
        words[warp, lane] = [*a, *b]
        cuda.syncthreads()
        if lane == 0:
            held = words[warp].reshape(8, 4, 6)  # row or column g, thread q, word
            # words of the left: (row g, column q), (g + 8, q), (g, q + 4), (g + 8, q + 4); of the right: q, q + 4
            left = _as_floats(np.block([[held[..., 0], held[..., 2]], [held[..., 1], held[..., 3]]]), pairs)
            right = _as_floats(np.hstack([held[..., 4], held[..., 5]]), pairs)
            sums[warp] = np.einsum("rkp,ckp->rc", left, right)
        cuda.syncthreads()
        g, q = lane // 4, lane % 4
        return tuple(np.float32(c[i] + sums[warp, g + i // 2 * 8, 2 * q + i % 2]) for i in range(4))

    def mma_tf32(a, b, c):
        """c + left @ right for TF32: 4 words a, 2 words b and 4 sums c of a thread."""
        return _multiply(False, a, b, c)

    def mma_pairs(a, b, c):
        """c + left @ right for bfloat16: 4 words a, 2 words b and 4 sums c of a thread."""
        return _multiply(True, a, b, c)

else:
    from llvmlite import ir
    from numba.core import cgutils

    from .jit import cuda_types, intrinsic

    F32, I32 = ir.FloatType(), ir.IntType(32)

    def _conversion(instruction, count):
        """Intrinsic of one instruction that makes a word of ``count`` floats, the first of them its lower half."""
        operands = ", ".join(f"${i}" for i in range(count, 0, -1))

        def codegen(context, builder, signature, arguments):
            code = ir.InlineAsm(
                ir.FunctionType(I32, [F32] * count), f"{instruction} $0, {operands};", "=r" + ",f" * count
            )
            return builder.call(code, arguments)

        return cuda_types.uint32(*[cuda_types.float32] * count), codegen

    @intrinsic
    def to_tf32(typingctx, x):
        """The nearest TF32 as 32 bits."""
        return _conversion("cvt.rna.tf32.f32", 1)

    @intrinsic
    def to_pair(typingctx, low, high):
        """The nearest bfloat16 of both numbers in one word."""
        return _conversion("cvt.rn.bf16x2.f32", 2)

    @intrinsic
    def to_bfloat16(typingctx, x):
        """The nearest bfloat16 as a float32."""
        signature, convert = _conversion("cvt.rn.bf16x2.f32", 2)

        def codegen(context, builder, _, arguments):
            word = convert(context, builder, signature, [F32(0.0), arguments[0]])
            return builder.bitcast(word, F32)

        return cuda_types.float32(cuda_types.float32), codegen

    def _product(shape, a, b, c):
        code = f"mma.sync.aligned.{shape} {{$0, $1, $2, $3}}, {{$4, $5, $6, $7}}, {{$8, $9}}, {{$10, $11, $12, $13}};"

        def codegen(context, builder, signature, arguments):
            values = [value for argument in arguments for value in cgutils.unpack_tuple(builder, argument)]
            kind = ir.FunctionType(ir.LiteralStructType([F32] * 4), [value.type for value in values])
            # a side effect: it must stay where all threads of the warp come by
            called = builder.call(ir.InlineAsm(kind, code, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", side_effect=True), values)
            return context.make_tuple(
                builder, signature.return_type, [builder.extract_value(called, i) for i in range(4)]
            )

        return cuda_types.UniTuple(cuda_types.float32, 4)(a, b, c), codegen

    @intrinsic
    def mma_tf32(typingctx, a, b, c):
        """c + left @ right for TF32: 4 words a, 2 words b and 4 sums c of a thread."""
        return _product("m16n8k8.row.col.f32.tf32.tf32.f32", a, b, c)

    @intrinsic
    def mma_pairs(typingctx, a, b, c):
        """c + left @ right for bfloat16: 4 words a, 2 words b and 4 sums c of a thread."""
        return _product("m16n8k16.row.col.f32.bf16.bf16.f32", a, b, c)


def tensor_method(rows: int, columns: int, depth: int, warp_rows: int, warp_columns: int, pairs: bool) -> Method:
    """Method of the tensor cores: TF32, or ``pairs`` of bfloat16; a warp has ``warp_rows`` x ``warp_columns`` sums."""
    warps_across = columns // warp_columns
    threads = 32 * warps_across * (rows // warp_rows)
    down, over = warp_rows // 16, warp_columns // 8
    words = 4 * down
    padding = 8  # threads of a warp then read from all banks of shared memory
    left_stride, right_stride = rows + padding, columns + padding

    def multiply_tf32(left, right, sums, thread):
        lane, warp = thread % 32, thread // 32
        g, q = lane // 4, lane % 4
        row, column = warp // warps_across * warp_rows + g, warp % warps_across * warp_columns + g
        a = cuda.local.array(words, WORD)
        for k in range(0, depth, 8):
            for i in range(words):
                a[i] = to_tf32(left[(k + q + i % 4 // 2 * 4) * left_stride + row + i // 4 * 16 + i % 2 * 8])
            for j in range(over):
                offset = (k + q) * right_stride + column + 8 * j
                b = to_tf32(right[offset]), to_tf32(right[offset + 4 * right_stride])
                for i in range(down):
                    s, w = 4 * (i * over + j), 4 * i
                    sums[s], sums[s + 1], sums[s + 2], sums[s + 3] = mma_tf32(
                        (a[w], a[w + 1], a[w + 2], a[w + 3]), b, (sums[s], sums[s + 1], sums[s + 2], sums[s + 3])
                    )

    def multiply_pairs(left, right, sums, thread):
        lane, warp = thread % 32, thread // 32
        g, q = lane // 4, lane % 4
        row, column = warp // warps_across * warp_rows + g, warp % warps_across * warp_columns + g
        a = cuda.local.array(words, WORD)
        for k in range(0, depth, 16):
            for i in range(words):
                offset = (k + 2 * q + i % 4 // 2 * 8) * left_stride + row + i // 4 * 16 + i % 2 * 8
                a[i] = to_pair(left[offset], left[offset + left_stride])
            for j in range(over):
                offset = (k + 2 * q) * right_stride + column + 8 * j
                below = offset + 8 * right_stride
                b = (
                    to_pair(right[offset], right[offset + right_stride]),
                    to_pair(right[below], right[below + right_stride]),
                )
                for i in range(down):
                    s, w = 4 * (i * over + j), 4 * i
                    sums[s], sums[s + 1], sums[s + 2], sums[s + 3] = mma_pairs(
                        (a[w], a[w + 1], a[w + 2], a[w + 3]), b, (sums[s], sums[s + 1], sums[s + 2], sums[s + 3])
                    )

    def row_of(thread, number):
        return (
            thread // 32 // warps_across * warp_rows
            + number // (4 * over) * 16
            + number % 4 // 2 * 8
            + thread % 32 // 4
        )

    def column_of(thread, number):
        tile = number // 4 % over
        return thread // 32 % warps_across * warp_columns + tile * 8 + thread % 4 * 2 + number % 2

    def put(target, offset, sums, number):
        target[offset] = sums[number]
        target[offset + 1] = sums[number + 1]

    multiply: Callable = multiply_pairs if pairs else multiply_tf32
    return Method(
        rows, columns, depth, threads, warp_rows * warp_columns // 32, 2, multiply, row_of, column_of, put, padding,
        ("float32",),
    )  # fmt: skip
