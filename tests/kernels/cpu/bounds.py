"""A check of its bounds before every load and store of compiled kernels, to the byte.

Kernels work on pointers, of which Numba's own bounds checks know nothing. So the optimized LLVM code of a program is
rewritten before machine code is made of it: each access first calls a function of ``bounds.c`` that knows the buffers.
"""

import ctypes
import re
import subprocess
from pathlib import Path

FUNCTION = re.compile(r"^define .*?@\"?(_ZN(?!7cpython|5numba)[\w.]+)")  # of kernels; wrappers handle objects of Python
LOAD = re.compile(r"= load (?:atomic |volatile )*(.+?), ptr (%[\w.\"$-]+)")
STORE = re.compile(r"^\s*store (?:atomic |volatile )*(.+), ptr (%[\w.\"$-]+)")
MODIFY = re.compile(r"= atomicrmw \w+ ptr (%[\w.\"$-]+), (\w+) ")
FILL = re.compile(r"call void @llvm\.memset\.[\w.]+\(ptr [^%@]*(%[\w.\"$-]+), i8 [^,]+, i64 ([^,]+),")
MASKED = re.compile(
    r"@llvm\.masked\.(?:load|store)\.v\d+([if]\d+)\.p0\(.*?ptr [^%@]*(%[\w.\"$-]+), "
    r"<(\d+) x i1> (splat \(i1 true\)|[^,)]+)"
)
SPREAD = re.compile(
    r"@llvm\.masked\.(?:gather|scatter)\.v\d+([if]\d+)\.v\d+p0\(.*?<(\d+) x ptr> [^%@]*(%[\w.\"$-]+), "
    r"<\d+ x i1> (splat \(i1 true\)|[^,)]+)"
)
ACCESS = re.compile(r"^\s*(?:%\S+ = )?(?:load|store|atomicrmw|cmpxchg|(?:tail )?call .*@llvm\.(?:mem|masked))\b")
GLOBAL = re.compile(r"ptr (?:[^%@]* )?@")
REFERENCES = re.compile(r"atomicrmw add ptr \S+, i64 1 monotonic")  # Numba counts those to its arrays
BYTES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8}
BYTES |= {"bfloat": 2, "float": 4, "double": 8, "f32": 4, "f64": 8}
DECLARATIONS = "\ndeclare void @bounds_check(ptr, i64, ptr)\ndeclare void @bounds_check_lanes(ptr, i64, i64, ptr)\n"


def size_of(kind):
    """Bytes of an LLVM type at the beginning of ``kind``, behind which a value may stand."""
    if kind.startswith("{"):  # of this program's pointers and int64 alone
        return 8 * (kind[: kind.index("}")].count(",") + 1)
    vector = re.match(r"<(\d+) x (\w+)>", kind)
    return int(vector[1]) * BYTES[vector[2]] if vector else BYTES[re.match(r"\w+", kind)[0]]


def check_before(line, number, name):
    """LLVM code that checks the access in ``line``, or None if there is nothing to check."""
    if not ACCESS.match(line) or REFERENCES.search(line):
        return None
    for pattern in (LOAD, STORE):
        if found := pattern.search(line):
            return f"  call void @bounds_check(ptr {found[2]}, i64 {size_of(found[1])}, ptr {name})"
    if found := MODIFY.search(line):
        return f"  call void @bounds_check(ptr {found[1]}, i64 {BYTES[found[2]]}, ptr {name})"
    if found := FILL.search(line):
        return f"  call void @bounds_check(ptr {found[1]}, i64 {found[2]}, ptr {name})"
    if found := MASKED.search(line):
        kind, pointer, lanes, mask = found.groups()
        return (
            f"  %bounds.{number} = bitcast <{lanes} x i1> {mask} to i{lanes}\n"
            f"  %bounds.wide.{number} = zext i{lanes} %bounds.{number} to i64\n"
            f"  call void @bounds_check_lanes(ptr {pointer}, i64 {BYTES[kind]}, i64 %bounds.wide.{number}, ptr {name})"
        )
    if found := SPREAD.search(line):
        kind, lanes, pointers, mask = found.groups()
        return "\n".join(
            f"  %bounds.{number}.{lane} = extractelement <{lanes} x ptr> {pointers}, i64 {lane}\n"
            f"  %bounds.there.{number}.{lane} = extractelement <{lanes} x i1> {mask}, i64 {lane}\n"
            f"  %bounds.size.{number}.{lane} = select i1 %bounds.there.{number}.{lane}, i64 {BYTES[kind]}, i64 0\n"
            f"  call void @bounds_check(ptr %bounds.{number}.{lane}, i64 %bounds.size.{number}.{lane}, ptr {name})"
            for lane in range(int(lanes))
        )
    if GLOBAL.search(line):
        return None
    raise ValueError(f"an access of unknown form: {line}")


def with_checks(code):
    """Return LLVM code with a check before every access of a kernel, and the number of checks."""
    lines, names, inside, count = [], [], None, 0
    for line in code.splitlines():
        if line.startswith("define"):
            inside = FUNCTION.match(line)
            if inside:
                short = re.sub(r"B\d+v.*", "", inside[1]).encode()
                name = f"@bounds.name.{len(names)}"
                names.append(f'{name} = private constant [{len(short) + 1} x i8] c"{short.decode()}\\00"')
        elif inside and (check := check_before(line, count, name)):
            lines.append(check)
            count += 1
        lines.append(line)
    return "\n".join([*lines, DECLARATIONS, *names]), count


def install(folder):
    """Put checks into all programs compiled from now on; return the functions of ``bounds.c``."""
    import llvmlite.binding
    from fastnn.kernels.compiler.linking import ProgramLibrary

    library = Path(folder) / "bounds.so"
    source = Path(__file__).with_name("bounds.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-lpthread"], check=True)
    functions = ctypes.PyDLL(str(library))
    functions.bounds_allow.argtypes = [ctypes.c_size_t, ctypes.c_uint64]
    for name in ("bounds_check", "bounds_check_lanes"):
        llvmlite.binding.add_symbol(name, ctypes.cast(getattr(functions, name), ctypes.c_void_p).value)
    optimize = ProgramLibrary._optimize_final_module
    functions.places = 0

    def optimize_and_check(self):
        for function in self._final_module.functions:
            if FUNCTION.match(f"define @{function.name}") and str(function.linkage) == "Linkage.external":
                function.add_function_attribute("noinline")  # else a small one ends up in its wrapper
        optimize(self)
        code, count = with_checks(str(self._final_module))
        if count:
            functions.places += count
            self._final_module = llvmlite.binding.parse_assembly(code)

    ProgramLibrary._optimize_final_module = optimize_and_check
    return functions
