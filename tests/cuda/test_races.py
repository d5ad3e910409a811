"""What ``races.py`` finds, and that every kernel comes by it; all other tests here run under it as well."""

import threading

import numpy as np
import pytest
from fastnn.kernels.cuda import gemm_choice, jit
from fastnn.kernels.cuda import tensor_cores as mma_cuda
from fastnn.kernels.cuda.jit import at, cuda
from fastnn.kernels.cuda.launches import dense
from fastnn.kernels.cuda.vector_access import load4
from harness import Problem, assert_close, import_all, tolerance
from test_products import Layer

from fastnn import optimizers
from fastnn.data import device_array
from fastnn.engine.cuda import inference, inference_launches, launches, training_launches
from fastnn.engine.cuda import run as runs_cuda
from fastnn.engine.run_options import RunOptions
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, LayerNormalization
from fastnn.regularizers import L2

pytestmark = pytest.mark.skipif(not jit.SIMULATED, reason="a GPU has compute-sanitizer")
if jit.SIMULATED:
    import races
    import watched

THREADS = 8
ONE_THREAD = {"set_clock", "begin_step"}
multiply = cuda.jit(device=True)(mma_cuda._multiply) if jit.SIMULATED else None


def read_before_barrier(faulty, out):
    shared, thread = cuda.shared.array(THREADS, np.float32), cuda.threadIdx.x
    shared[thread] = thread
    if not faulty:
        cuda.syncthreads()
    out[thread] = shared[thread ^ 1]


def written_before_barrier(faulty, out):
    shared, thread = cuda.shared.array(THREADS, np.float32), cuda.threadIdx.x
    shared[thread] = thread
    cuda.syncthreads()
    out[thread] = shared[(thread + 1) % THREADS]
    if not faulty:
        cuda.syncthreads()
    shared[thread] = 0.0


def read_by_many(faulty, out):
    """The writer is among the readers, neither the first nor the last of them."""
    thread = cuda.threadIdx.x
    if out[0] == 1.0:
        return
    if not faulty:
        cuda.syncthreads()
    if thread == 3:
        out[0] = 2.0


def same_value(faulty, out):
    out[0 if faulty else cuda.threadIdx.x] = 1.0


def blocks_write(faulty, out):
    if cuda.threadIdx.x == 0:
        out[0 if faulty else cuda.blockIdx.x] = 1.0


def blocks_read(faulty, out):
    """Barriers do not help against other blocks."""
    block = cuda.blockIdx.x
    value = out[0] if faulty else out[block]
    cuda.syncthreads()
    if cuda.threadIdx.x == 0 and (block == 1 or not faulty):
        out[0 if faulty else block] = value


def atomic_and_plain(faulty, out):
    cuda.atomic.max(out, 0, cuda.threadIdx.x)
    if not faulty:
        cuda.syncthreads()
    if cuda.threadIdx.x == 2:
        out[1] = out[0]


def atomic_in_other_block(faulty, out):
    cuda.atomic.add(out, 0, 1.0)
    if faulty and cuda.blockIdx.x == 1:
        out[0] = 0.0


def moved_pointers(faulty, out):
    thread = cuda.threadIdx.x
    at(out, thread)[1 if faulty else 0] = 1.0
    out[thread] = 2.0


def two_names(faulty, out, halves):
    """``halves`` is the same memory as float32."""
    thread = cuda.threadIdx.x
    if thread == 0:
        out[0] = 1.0
    if thread == 1:
        halves[1 if faulty else 2] = 1.0


def tensor_cores(faulty, out):
    """Threads of a warp meet there, which makes none of their memory known to the others."""
    shared, thread = cuda.shared.array(THREADS, np.float32), cuda.threadIdx.x
    shared[thread] = thread
    multiply(False, (0, 0, 0, 0), (0, 0), (0, 0, 0, 0))
    if not faulty:
        cuda.syncthreads()
    out[thread] = shared[thread ^ 1]


def gone_before_barrier(faulty, out):
    if faulty and cuda.threadIdx.x == 3:
        return
    cuda.syncthreads()


def two_barriers(faulty, out):
    if faulty and cuda.threadIdx.x < 3:
        cuda.syncthreads()
    else:
        cuda.syncthreads()


def more_barriers(faulty, out):
    for _ in range(1 + (faulty and cuda.threadIdx.x == 0)):
        cuda.syncthreads()


def unwritten(faulty, out):
    """In the second block only, which does not have what the first wrote."""
    memory, thread = cuda.shared.array(0, np.float32), cuda.threadIdx.x
    if not faulty or cuda.blockIdx.x == 0:
        memory[thread] = 1.0
    out[cuda.grid(1)] = memory[thread]


def before_the_first(faulty, out):
    at(out, cuda.grid(1))[-1 if faulty else 0] = 1.0


def wide_loads(faulty, out):
    thread = cuda.threadIdx.x
    load4(at(out, 4 * (thread // 4)), 2 if faulty else 4)


def behind_the_last(faulty, out):
    out[cuda.grid(1)] = at(out, cuda.grid(1))[2 * THREADS if faulty else 0]


RACE, DIVIDED = r"race for element \d of", "a barrier that not all threads of the block reach"
FAULTS = {  # and in how many blocks they show
    read_before_barrier: (RACE, 1), written_before_barrier: (RACE, 1), read_by_many: (RACE, 1), same_value: (RACE, 1),
    blocks_write: (RACE, 2), blocks_read: (RACE, 2), atomic_and_plain: (RACE, 1), atomic_in_other_block: (RACE, 2),
    moved_pointers: (RACE, 1), two_names: (RACE, 1), tensor_cores: (RACE, 1), gone_before_barrier: (DIVIDED, 1),
    two_barriers: (DIVIDED, 1), more_barriers: (DIVIDED, 1),
    unwritten: ("element 0 of dynamic shared memory is read before it is written", 2),
    wide_loads: ("element 2 of out is not the first of an aligned four", 1),
    before_the_first: ("no element -1 of out", 2), behind_the_last: ("no element 16 of out", 2),
}  # fmt: skip


@pytest.mark.parametrize("function", FAULTS, ids=lambda function: function.__name__)
def test_what_is_found(function):
    """And that nothing is found in a twin without the fault."""
    message, blocks = FAULTS[function]
    for faulty in (0, 1):
        out = cuda.to_device(np.zeros(2 * THREADS))
        launch = jit.configured(cuda.jit(function), blocks, THREADS, 4 * THREADS)
        arguments = [faulty, out, *[out.view(np.float32)] * (function is two_names)]
        if faulty:
            with pytest.raises((AssertionError, IndexError), match=message):
                launch(*arguments)
        else:
            launch(*arguments)
        for thread in threading.enumerate():
            if isinstance(thread, watched.Thread):
                thread.join(10.0)
                assert not thread.is_alive()


def test_what_is_said():
    with pytest.raises(AssertionError) as caught:
        jit.configured(cuda.jit(blocks_write), 2, THREADS)(1, cuda.to_device(np.zeros(1, np.float32)))
    line = "test_races.py:{}, blocks_write: out[0 if faulty else cuda.blockIdx.x] = 1.0"
    line = line.format(blocks_write.__code__.co_firstlineno + 2)
    assert str(caught.value).splitlines() == [
        "blocks_write, 1 times: race for element 0 of out",
        f"  thread (0, 0, 0) of block (1, 0, 0) writes it: {line}",
        f"  thread (0, 0, 0) of block (0, 0, 0) writes it: {line}",
    ]


def change_blocks(monkeypatch, threads, columns, rows, few, most, rows_of_block, shuffling=None):
    """Set the sizes of blocks: threads, those for columns, and so on, and how many there are at most."""
    for module, name, number in (
        (inference, "WARP", few), (inference, "MOST_THREADS", threads), (inference, "MOST_BLOCKS", most),
        (inference, "ROWS_OF_BLOCK", rows_of_block), (device_array, "THREADS", threads),
        (launches, "THREADS", threads), (launches, "COLUMN_THREADS", columns),
        (launches, "ROW_THREADS", rows), (launches, "FEW_THREADS", few),
        (launches, "MOST_BLOCKS", most), (training_launches, "THREADS", threads),
        (training_launches, "SHUFFLING_THREADS", shuffling or threads), (gemm_choice, "ROWS_OF_SLICE", 2),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, number)


def train_and_predict(dtype, mixed=False):
    layers = [
        Dense(5, "gelu", kernel_regularizer=L2(0.1)), BatchNormalization(), Activation("softmax"), Dropout(0.2),
        Dense(3, "softmax"), LayerNormalization(), Activation("softmax"), Dense(2, "softmax"),
    ]  # fmt: skip
    loss, optimizer = "sparse_categorical_crossentropy", optimizers.Adam(0.01, clipnorm=0.1)
    network = Problem(layers, 3, loss, rows=11, metrics=[loss], weighted=True, mixed=mixed, device="cuda")
    engine, objective, logs = network.train(dtype, optimizer, batch_size=9, epochs=1)
    engine.predict(network.data(dtype)[0])
    engine.evaluate(objective, network.samples(dtype))
    if not mixed:
        expected, expected_logs = network.oracle(optimizer, batch_size=9, epochs=1)
        assert_close([*engine.get_weights(), logs], [*expected, expected_logs], tolerance(dtype, 2e-4, 1e-11))
        options = RunOptions(batch_size=9, epochs=1, shuffle=True)
        engine.train_many(objective, network.samples(dtype), options, [network.weights] * 2, [1, 2])


def convert(dtype):
    x = device_array.send(np.arange(15.0, dtype=dtype).reshape(5, 3))
    assert x.is_within(0.0, 14.0)
    assert x[::-1].shape == x.astype(dtype, copy=True).shape
    assert device_array.send(np.arange(15, dtype=np.uint8).reshape(5, 3))[:, 1].astype(np.uint8).shape == (5,)


def multiply_matrices():
    """Products have the threads of their methods, and tiles of two sizes where the simulator has two."""
    for methods in gemm_choice.METHODS.values():
        for method in methods:
            for dtype in method.dtypes:
                layer = Layer(dtype, (11, 18, 9), 1, "gelu")
                for product in (layer.forward, layer.input_gradient, layer.weight_gradients):
                    product(method)
                yield from (gemm_choice.product_kernel(product, method) for product in gemm_choice.PRODUCTS)


def versions(functions):
    """Names of kernels for every element type."""
    for function in functions:
        known = jit.ENTRIES[function]
        yield from (f"{function.__name__}_{dtype}" for dtype in known.dtypes)
        if known.mixed:
            yield f"{function.__name__}_float32_mixed"


def do_everything(monkeypatch):
    for flops in (1e9, 0.0):
        monkeypatch.setattr(runs_cuda, "FLOPS_WORTH_LAUNCHES", flops)
        monkeypatch.setattr(inference_launches, "FLOPS_OF_ROW", flops)
        monkeypatch.setattr(inference_launches, "FLOPS_OF_ALL", flops)
        train_and_predict("float32", mixed=True)
        for dtype in ("float32", "float64"):
            train_and_predict(dtype)
    for dtype in ("float32", "float64"):
        convert(dtype)


def test_every_kernel_in_two_sizes(monkeypatch):
    import_all("fastnn.kernels.cuda")
    monkeypatch.setattr(races, "launched", races.defaultdict(set))
    products = set(multiply_matrices())
    assert set(versions(products)) == set(races.launched)
    for sizes in ((2, 1, 2, 2, 2, 2), (6, 3, 5, 3, 2, 2)):
        change_blocks(monkeypatch, *sizes)
        do_everything(monkeypatch)
    others = {function for function in jit.ENTRIES if function.__module__ != dense.__name__}
    one_thread = set(versions(function for function in others if function.__name__ in ONE_THREAD))
    few = {name for name in versions(others) if len(races.launched[name]) < 2}
    assert few == one_thread


@pytest.mark.slow
def test_blocks_of_a_gpu(monkeypatch):
    """As large as they are there."""
    monkeypatch.setattr(gemm_choice, "METHODS", gemm_choice.METHODS_OF_GPUS)
    change_blocks(monkeypatch, 256, 32, 128, 32, 4096, 32, shuffling=1024)
    do_everything(monkeypatch)
