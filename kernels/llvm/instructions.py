"""Single instructions that Numba has no name for: pointers, bit patterns, atomics, the floating-point mode."""

from __future__ import annotations

import platform
import sys

# isort: off
from ..host import cpu  # noqa: F401 - it imports numba first, so that no interrupt leaves it half imported

# isort: on
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I32, I64 = ir.IntType(32), ir.IntType(64)
MACHINE = platform.machine().lower()
IS_X86 = MACHINE in ("x86_64", "amd64")
IS_ARM = MACHINE in ("aarch64", "arm64")

# sched_yield gives the core to another thread; Windows calls it SwitchToThread.
yield_core = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


def declare(builder, name, result, arguments):
    """Return the LLVM intrinsic or C function ``name`` of the module under construction."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _address(context, builder, base, value):
    """Address of the first element of an array, or the pointer itself."""
    return context.make_array(base)(context, builder, value).data if isinstance(base, types.Array) else value


@intrinsic
def at(typingctx, base, offset):
    """Pointer to element ``offset`` of an array or behind a pointer."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(_address(context, builder, base, arguments[0]), [arguments[1]])

    return types.CPointer(base.dtype)(base, types.intp), codegen


def _pointing(kind):
    """Type of a value with pointers instead of its arrays."""
    if isinstance(kind, types.BaseTuple):
        return types.BaseTuple.from_types(tuple(map(_pointing, kind)), getattr(kind, "instance_class", None))
    return types.CPointer(kind.dtype) if isinstance(kind, types.Array) else kind


def _pointers(context, builder, kind, value):
    """The value with pointers instead of its arrays."""
    if isinstance(kind, types.BaseTuple):
        values = cgutils.unpack_tuple(builder, value)
        inner = [_pointers(context, builder, *pair) for pair in zip(kind, values, strict=True)]
        return context.make_tuple(builder, _pointing(kind), inner)
    return _address(context, builder, kind, value)


@intrinsic
def pointers(typingctx, value):
    """A tuple with pointers to first elements instead of arrays, as their use counts no references."""

    def codegen(context, builder, signature, arguments):
        return _pointers(context, builder, value, arguments[0])

    return _pointing(value)(value), codegen


@intrinsic
def as_float64(typingctx, base):
    """The same memory as a pointer to float64."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float64)(base), codegen


def _bits(float_type):
    """Integer type of the float's width, mantissa bits and exponent bias of IEEE 754."""
    return (types.int32, 23, 127) if float_type == types.float32 else (types.int64, 52, 1023)


@intrinsic
def pow2(typingctx, n):
    """2.0**n for an integer-valued float n in the range of normal exponents."""

    def codegen(context, builder, signature, arguments):
        integer, mantissa_bits, bias = _bits(n)
        kind = context.get_value_type(integer)
        exponent = builder.fptosi(arguments[0], kind)
        pattern = builder.shl(builder.add(exponent, kind(bias)), kind(mantissa_bits))
        return builder.bitcast(pattern, context.get_value_type(n))

    return n(n), codegen


def _split(context, builder, value, float_type):
    """Bit pattern of ``value`` relative to sqrt(1/2), as (integer type, pattern, exponent) in LLVM values."""
    integer, mantissa_bits, _ = _bits(float_type)
    kind = context.get_value_type(integer)
    root_half = 0x3F3504F3 if mantissa_bits == 23 else 0x3FE6A09E667F3BCD
    pattern = builder.bitcast(value, kind)
    exponent = builder.ashr(builder.sub(pattern, kind(root_half)), kind(mantissa_bits))
    return kind, pattern, exponent, mantissa_bits


@intrinsic
def exponent(typingctx, x):
    """Exponent e of a normal x = m * 2**e > 0 with m in [sqrt(1/2), sqrt(2)), as a float."""

    def codegen(context, builder, signature, arguments):
        *_, power, _ = _split(context, builder, arguments[0], x)
        return builder.sitofp(power, context.get_value_type(x))

    return x(x), codegen


@intrinsic
def mantissa(typingctx, x):
    """Mantissa m of a normal x = m * 2**e > 0 with m in [sqrt(1/2), sqrt(2))."""

    def codegen(context, builder, signature, arguments):
        kind, pattern, power, mantissa_bits = _split(context, builder, arguments[0], x)
        pattern = builder.sub(pattern, builder.shl(power, kind(mantissa_bits)))
        return builder.bitcast(pattern, context.get_value_type(x))

    return x(x), codegen


def _unary(name):
    """A one-argument LLVM float intrinsic under its Python name."""

    def function(typingctx, x):
        def codegen(context, builder, signature, arguments):
            kind = context.get_value_type(x)
            width = 32 if x == types.float32 else 64
            return builder.call(declare(builder, f"llvm.{name}.f{width}", kind, [kind]), arguments)

        return x(x), codegen

    return intrinsic(function)


sqrt = _unary("sqrt")
floor = _unary("floor")
absolute = _unary("fabs")


@intrinsic
def select(typingctx, condition, x, y):
    """x where the condition holds, else y, both computed beforehand."""

    def codegen(context, builder, signature, arguments):
        return builder.select(*arguments)

    return x(types.boolean, x, x), codegen


@intrinsic
def atomic_add(typingctx, array, index, value):
    """Add to an int64 and return what it held before (acquire and release order)."""

    def codegen(context, builder, signature, arguments):
        data = _address(context, builder, array, arguments[0])
        return builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), arguments[2], "acq_rel")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def atomic_load(typingctx, array, index):
    """Read an int64 with acquire order."""

    def codegen(context, builder, signature, arguments):
        data = _address(context, builder, array, arguments[0])
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return types.int64(array, types.intp), codegen


@intrinsic
def atomic_store(typingctx, array, index, value):
    """Write an int64 with release order."""

    def codegen(context, builder, signature, arguments):
        data = _address(context, builder, array, arguments[0])
        builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Tell the core that this is a spin loop."""

    def codegen(context, builder, signature, arguments):
        if IS_X86:
            builder.call(declare(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif IS_ARM:
            builder.call(declare(builder, "llvm.aarch64.hint", ir.VoidType(), [I32]), [I32(1)])
        return context.get_dummy_value()

    return types.void(), codegen


FLUSH_X86 = 0x8040  # MXCSR: flush-to-zero and denormals-are-zero
QUIET_X86 = 0x1F80  # MXCSR: all exceptions masked, rounding to the nearest
FLUSH_ARM = 1 << 24  # FPCR: flush-to-zero


@intrinsic
def float_mode(typingctx):
    """The calling thread's floating-point control word, for ``set_float_mode``."""

    def codegen(context, builder, signature, arguments):
        if IS_X86:
            word = cgutils.alloca_once(builder, I32)
            store = declare(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [ir.IntType(8).as_pointer()])
            builder.call(store, [builder.bitcast(word, ir.IntType(8).as_pointer())])
            return builder.zext(builder.load(word), I64)
        if IS_ARM:
            return builder.call(declare(builder, "llvm.aarch64.get.fpcr", I64, []), [])
        return I64(0)

    return types.int64(), codegen


@intrinsic
def set_float_mode(typingctx, mode):
    """Set the calling thread's floating-point control word."""

    def codegen(context, builder, signature, arguments):
        if IS_X86:
            word = cgutils.alloca_once(builder, I32)
            builder.store(builder.trunc(arguments[0], I32), word)
            load = declare(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [ir.IntType(8).as_pointer()])
            builder.call(load, [builder.bitcast(word, ir.IntType(8).as_pointer())])
        elif IS_ARM:
            builder.call(declare(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), [I64]), [arguments[0]])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


# What programs set while they run, whatever the caller had set: to the nearest, no traps, and subnormal numbers flushed
# to zero, which cost a factor of 2.5 on Pima.
PROGRAM_MODE = QUIET_X86 | FLUSH_X86 if IS_X86 else FLUSH_ARM if IS_ARM else 0
