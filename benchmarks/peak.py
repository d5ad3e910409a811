"""The fused multiply-add peak of the cores: what no matrix product can pass."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fastnn.kernels.compiler import jit
from fastnn.kernels.host import cpu
from fastnn.kernels.llvm.instructions import I64
from fastnn.kernels.llvm.vectors import Vectors
from numba import types
from numba.core.caching import NullCache
from numba.extending import intrinsic

CHAINS = 12  # sums that do not wait for one another: more than two units of latency 4 need, and no register spills
_ROUNDS, _ITERATIONS = 7, 2_000_000


@intrinsic
def fma_chains(typingctx, factors, iterations):
    """Run ``iterations`` times CHAINS vector operations sum = sum * factors[0] + factors[1]; return a sum's lane."""

    def codegen(context, builder, signature, arguments):
        start = context.make_array(factors)(context, builder, arguments[0]).data
        simd = Vectors(context, builder, factors.dtype)
        scale, offset = (simd.broadcast(builder.load(builder.gep(start, [I64(i)]))) for i in range(2))
        entry, loop, done = builder.block, builder.append_basic_block("fma"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        count = builder.phi(I64)
        count.add_incoming(I64(0), entry)
        sums = [builder.phi(simd.type) for _ in range(CHAINS)]
        fused = cpu.simd_level() != "none"
        for i, value in enumerate(sums):
            value.add_incoming(simd.splat(i), entry)
            result = simd.fma(value, scale, offset) if fused else builder.fadd(builder.fmul(value, scale), offset)
            value.add_incoming(result, loop)
        following = builder.add(count, I64(1))
        count.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[1]), loop, done)
        builder.position_at_end(done)
        total = sums[0]
        for value in sums[1:]:
            total = builder.fadd(total, value)
        return builder.extract_element(total, I64(0))

    return factors.dtype(factors, types.intp), codegen


def run_chains(factors, iterations):
    """Compiled by `measure`."""
    return fma_chains(factors, iterations)


def measure(threads: int, dtype: str = "float32") -> float:
    """Return the best rate seen, in operations per second of so many threads together; an FMA counts as two."""
    element = np.dtype(dtype)
    program = jit.program(run_chains, element)
    program._cache = NullCache()
    factors = np.array([0.999, 0.001], element)
    program(factors, 1)
    work = 2.0 * CHAINS * cpu.lanes(element) * _ITERATIONS * threads
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            list(pool.map(program, [factors] * threads, [_ITERATIONS] * threads))
            best = max(best, work / (time.perf_counter() - begun))
    return best
