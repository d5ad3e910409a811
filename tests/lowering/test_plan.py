"""Plans: tables, fused losses, the memory of a batch, packed weights, and errors."""

from itertools import pairwise

import numpy as np
import pytest
from fastnn.kernels import codes
from fastnn.kernels.host import cpu
from harness import assert_same_bits

from fastnn import layers as all_layers
from fastnn import losses
from fastnn.common.aligned_memory import aligned_zeros
from fastnn.layers import Activation, Dense, Dropout, Flatten, Input, Rescaling
from fastnn.lowering.kinds import KINDS, Buffer, Kind, Vector
from fastnn.lowering.lower import LOWERED, lower
from fastnn.regularizers import L2

DEEP = [
    Input((50,)), Flatten(), Dropout(0.1), Dense(37, "relu", kernel_regularizer=L2(0.25)), Dropout(0.0), Dropout(0.5),
    Dense(65), Activation("linear"), Activation("gelu"), Activation("softmax"), Dense(130, use_bias=False),
    Activation("elu"), Dense(18, "silu"), Dense(3, "softmax"), Activation("tanh"),
]  # fmt: skip


def column(plan, name):
    return plan.ops[:, codes.OPERATION_COLUMNS.index(name)].tolist()


def test_tables(dtype):
    plan = lower(DEEP, 50, dtype)
    lanes = cpu.lanes(dtype)
    kinds = {codes.DENSE: "dense", codes.DROPOUT: "dropout", codes.ACTIVATION: "activation"}
    assert [kinds[kind] for kind in column(plan, "KIND")] == [
        "dropout", "dense", "dropout", "dense", "activation", "dense", "dense", "dense", "activation",
    ]  # fmt: skip
    assert [codes.ACTIVATIONS[code] for code in column(plan, "FUNCTION")] == [
        "linear", "relu", "linear", "gelu", "softmax", "elu", "silu", "softmax", "tanh",
    ]  # fmt: skip
    assert column(plan, "INPUTS") == [50, 50, 37, 37, 65, 65, 130, 18, 3]
    assert column(plan, "OUTPUTS") == [50, 37, 37, 65, 65, 130, 18, 3, 3]
    assert column(plan, "BIAS") == [0, 1, 0, 1, 0, 0, 1, 1, 0]
    assert column(plan, "PANELS") == [-(-outputs // lanes) for outputs in column(plan, "OUTPUTS")]
    assert plan.factors.dtype == plan.dtype == dtype
    assert plan.factors[:, codes.RATE].tolist() == np.array([0.1, 0, 0.5, 0, 0, 0, 0, 0, 0], dtype).tolist()
    assert plan.factors[:, codes.L2].tolist() == [0, 0.25, 0, 0, 0, 0, 0, 0, 0]
    assert plan.factors[5, codes.ALPHA] == 1.0
    assert (plan.n_inputs, plan.n_outputs) == (50, 3)
    assert plan.weight_shapes == [(50, 37), (37,), (37, 65), (65,), (65, 130), (130, 18), (18,), (18, 3), (3,)]
    assert plan.flops_per_row == 2 * (50 * 37 + 37 * 65 + 65 * 130 + 130 * 18 + 18 * 3)
    assert plan.scaling.tolist() == [1.0, 0.0]


def test_weights_lie_one_after_the_other_in_panels(dtype):
    plan = lower(DEEP, 50, dtype)
    lanes, place = cpu.lanes(dtype), 0
    for op in plan.dense:
        assert op[codes.WEIGHTS] == place
        assert op[codes.PANEL] == (op[codes.INPUTS] + op[codes.BIAS]) * lanes
        place += op[codes.PANEL] * op[codes.PANELS]
    assert plan.n_parameters == place


def test_packed_weights(dtype):
    plan = lower([Dense(cpu.lanes(dtype) + 1), Dense(2, use_bias=False)], 3, dtype)
    lanes = cpu.lanes(dtype)
    weights = [np.arange(1, 1 + np.prod(s), dtype=dtype).reshape(s) for s in plan.weight_shapes]
    flat = np.full(plan.n_parameters, np.nan, dtype)
    plan.pack(weights, flat)
    first = flat[: 2 * 4 * lanes].reshape(2, 4, lanes)
    np.testing.assert_array_equal(first[0, 0], weights[1][:lanes])
    np.testing.assert_array_equal(first[0, 1:], weights[0][:, :lanes])
    np.testing.assert_array_equal(first[1, :, 0], [weights[1][lanes], *weights[0][:, lanes]])
    assert (first[1, :, 1:] == 0.0).all()
    assert_same_bits(plan.unpack(flat), weights)


def test_dtypes():
    for dtype in ("float32", np.float32, np.dtype("float32")):
        assert lower([Dense(1)], 1, dtype).dtype == np.float32
    assert lower([Dense(1)], 1, "float64").dtype == np.float64


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int32", "double", None, 3, int])
def test_dtypes_that_do_not_exist(dtype):
    with pytest.raises(ValueError, match="dtype must be one of float32, float64, mixed_bfloat16; got"):
        lower([Dense(1)], 1, dtype)


@pytest.mark.parametrize("layers", [[], [Input((3,))], [Dropout(0.0), Activation("linear"), Flatten()]])
def test_a_model_that_computes_nothing(layers):
    with pytest.raises(ValueError, match="the model computes nothing: add a Dense or an Activation layer"):
        lower(layers, 3)


def test_rescalings_are_one():
    plan = lower([Rescaling(0.5, 1.0), Rescaling(4.0, -3.0), Dense(1)], 3)
    assert plan.scaling.tolist() == [2.0, 1.0]
    for before in (Dense(1), Dropout(0.5), Activation("relu")):
        with pytest.raises(ValueError, match="rescales inputs: it must stand before all layers that compute"):
            lower([before, Rescaling(0.5)], 3)


# --- objectives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "loss", "code", "last"),
    [
        ([Dense(1, "sigmoid")], "binary_crossentropy", codes.BINARY_CE_LOGITS, codes.LINEAR),
        ([Dense(3), Activation("sigmoid")], "binary_crossentropy", codes.BINARY_CE_LOGITS, codes.LINEAR),
        (
            [Dense(3, "relu"), Activation("softmax")],
            "categorical_crossentropy",
            codes.CATEGORICAL_CE_LOGITS,
            codes.LINEAR,
        ),
        ([Dense(3, "softmax")], "categorical_crossentropy", codes.CATEGORICAL_CE_LOGITS, codes.LINEAR),
        ([Dense(3, "softmax")], "sparse_categorical_crossentropy", codes.SPARSE_CE_LOGITS, codes.LINEAR),
        ([Dense(3, "softmax")], "binary_crossentropy", codes.BINARY_CE, codes.SOFTMAX),
        ([Dense(3, "sigmoid")], "categorical_crossentropy", codes.CATEGORICAL_CE, codes.SIGMOID),
        ([Dense(3, "sigmoid")], "sparse_categorical_crossentropy", codes.SPARSE_CE, codes.SIGMOID),
        ([Dense(3, "softmax"), Dropout(0.5)], "categorical_crossentropy", codes.CATEGORICAL_CE, codes.LINEAR),
        ([Dense(3)], losses.BinaryCrossentropy(from_logits=True), codes.BINARY_CE_LOGITS, codes.LINEAR),
        ([Dense(3)], losses.SparseCategoricalCrossentropy(from_logits=True), codes.SPARSE_CE_LOGITS, codes.LINEAR),
        ([Dense(3, "sigmoid")], "mean_squared_error", codes.MSE, codes.SIGMOID),
        ([Dense(3, "softmax")], "mean_absolute_error", codes.MAE, codes.SOFTMAX),
    ],
)
def test_losses_take_in_the_activation_they_undo(layers, loss, code, last):
    plan = lower(layers, 4)
    before = plan.ops.copy()
    objective = plan.objective(losses.get(loss), ["binary_accuracy", "mean_squared_error"])
    assert objective.loss == code
    assert objective.ops[-1, codes.FUNCTION] == last
    assert objective.metrics == (("binary_accuracy", 1), ("mean_squared_error", 1))
    assert objective.target_width == (1 if code in (codes.SPARSE_CE, codes.SPARSE_CE_LOGITS) else plan.n_outputs)
    np.testing.assert_array_equal(plan.ops, before)


@pytest.mark.parametrize("name", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_classes_need_an_output_each(name):
    with pytest.raises(ValueError, match=f"loss '{name}' needs one output for each class; the last layer has 1"):
        lower([Dense(1, "sigmoid")], 4).objective(losses.get(name))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "relu"])
@pytest.mark.parametrize("loss", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_logits_come_from_a_layer_without_activation(loss, activation):
    with pytest.raises(ValueError, match=f"needs a last layer without activation; it has '{activation}'"):
        lower([Dense(2, activation)], 4).objective(loss(from_logits=True))


# --- memory of a batch ----------------------------------------------------------------------------------------------


def regions(layout, n_inputs, lanes):
    """(first element, row stride, width of whole vectors) of each buffer of a layout, the shared ones once."""
    first = layout.ops[0]
    found = {(int(first[codes.X]), int(first[codes.X_STRIDE]), -(-n_inputs // lanes) * lanes)}
    for op in layout.ops:
        for name in (codes.Y, codes.Z, codes.DY, codes.MASK):
            if op[name]:
                found.add((int(op[name]), int(op[codes.Y_STRIDE]), int(op[codes.PANELS]) * lanes))
    return sorted(found)


@pytest.mark.parametrize("batch_size", [1, 2, 31])
@pytest.mark.parametrize("layers", [DEEP, [Dense(1)], [Activation("gelu")], [Dense(256, "gelu"), Dense(240)]])
def test_buffers_do_not_overlap(dtype, layers, batch_size):
    plan = lower(layers, 50, dtype)
    layout = plan.layout(plan.ops, batch_size)
    lanes = cpu.lanes(dtype)
    used = np.zeros(layout.size, int)
    for start, row, width in regions(layout, 50, lanes):
        assert start % lanes == row % lanes == 0, "rows start on whole vectors"
        assert row * dtype.itemsize % 1024, "rows must not all fall into the same cache sets"
        for r in range(batch_size):
            assert start + r * row + width <= layout.size
            used[start + r * row : start + r * row + width] += 1
    assert used.max() == 1
    for op in layout.ops:
        if op[codes.KIND] == codes.DENSE and op[codes.BIAS]:  # the ones before the rows are nobody else's
            ones = op[codes.X] - 1 + op[codes.X_STRIDE] * np.arange(batch_size)
            assert (used[ones] == 0).all()
            assert ones[0] >= 0


def test_operations_hand_their_buffers_on(dtype):
    plan = lower(DEEP, 50, dtype)
    ops = plan.layout(plan.ops, 7).ops
    for below, above in pairwise(ops):
        assert (above[codes.X], above[codes.X_STRIDE]) == (below[codes.Y], below[codes.Y_STRIDE])
        if above[codes.KIND] == codes.DENSE:
            assert above[codes.DX] == below[codes.DY]
        else:  # in place
            assert above[codes.DY] == below[codes.DY]
    assert ops[:, codes.NEEDS_DX].tolist() == [0, 0, 0, 1, 0, 1, 1, 1, 0]
    assert ops[:, codes.BY_ROWS].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0]
    kept = [op[codes.Z] != op[codes.Y] for op in ops if op[codes.KIND] == codes.DENSE]
    assert kept == [False, True, False, True, False]  # gelu and silu are differentiated from their inputs


def test_ones_stand_before_the_inputs_of_layers_with_a_bias(dtype):
    plan = lower(DEEP, 50, dtype)
    layout = plan.layout(plan.ops, 5)
    work = layout.workspace(5, dtype)
    ones = set()
    for op in layout.ops:
        if op[codes.BIAS]:
            ones |= {int(op[codes.X] - 1 + op[codes.X_STRIDE] * r) for r in range(5)}
    assert len(ones) == 4 * 5
    assert set(np.flatnonzero(work)) == ones
    assert (work[sorted(ones)] == 1.0).all()
    assert work.ctypes.data % 64 == 0


@pytest.mark.parametrize("size", [0, 1, 3, 1000])
@pytest.mark.parametrize("alignment", [16, 64, 4096])
def test_aligned_zeros(dtype, size, alignment):
    arrays = [aligned_zeros(size, dtype, alignment) for _ in range(5)]
    for array in arrays:
        assert array.shape == (size,)
        assert array.dtype == dtype
        assert array.ctypes.data % alignment == 0 or size == 0
        assert (array == 0.0).all()
        assert array.flags.writeable


def test_every_kind_has_its_entry(monkeypatch):
    declared = [getattr(all_layers, name) for name in all_layers.__all__ if name not in ("Layer", "get")]
    assert {layer.kind for layer in declared} == set(LOWERED)
    assert sorted(KINDS) == [
        codes.DENSE, codes.ACTIVATION, codes.DROPOUT, codes.STANDARDIZE, codes.BATCH_NORM, codes.LAYER_NORM,
        codes.CONVOLUTION, codes.MAX_POOL, codes.AVERAGE_POOL,
    ]  # fmt: skip
    monkeypatch.setattr(Dropout, "kind", "pooling")
    with pytest.raises(ValueError, match="'noise' is of a kind that no kernel computes: 'pooling'"):
        lower([Dense(3), Dropout(0.5, name="noise")], 4)


def test_a_kind_is_placed_as_its_entry_says(monkeypatch):
    """One that is made up, with a weight for every column that is not trained, and memory for every row."""
    kept = Vector(codes.MOVING, None)
    monkeypatch.setitem(KINDS, 99, Kind(vectors=(kept,), buffers=(Buffer(codes.NORMAL), Buffer(codes.SUMS, rows=2))))
    monkeypatch.setitem(LOWERED, "dropout", lambda table, layer: table.append({}, KIND=99))
    plan = lower([Dense(3), Dropout(0.5), Dense(2)], 4)
    assert plan.weight_shapes == [(4, 3), (3,), (3,), (3, 2), (2,)]
    assert [place.trained for place in plan.weights] == [True, True, False, True, True]
    assert plan.weights[2].start == plan.n_parameters
    assert plan.memory_size == plan.n_parameters + plan.lanes
    layout = plan.layout(plan.ops, 10)
    op = layout.ops[1]
    used = {int(op[codes.NORMAL]): 10, int(op[codes.SUMS]): 2, **{int(each[codes.Y]): 10 for each in layout.ops}}
    starts = [*sorted(used), layout.size]
    for start, end in pairwise(starts):
        assert end - start >= used[start] * int(op[codes.Y_STRIDE])
    assert not plan.is_narrow
    assert plan.is_normalized
