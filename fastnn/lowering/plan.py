"""The plan of a network, a loss and metrics: tables of integers and floats over flat memory.

A plan is data. The compiled programs in ``kernels/`` read it, so the same program trains any model. Weights of
a dense layer stand in panels of one vector's width, the bias as the first row of every panel, padding zero.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence

import numpy as np

from fastnn.kernels import codes
from fastnn.kernels.host import cpu
from fastnn.losses import Loss
from fastnn.lowering.kinds import NORMALIZATIONS, kind_of
from fastnn.lowering.objective import Objective, Sums, bind
from fastnn.lowering.weight_places import (
    Place,
    place_pairs,
    place_parameters,
    place_statistics,
    row_major,
    weight_places,
)
from fastnn.lowering.workspace import Layout, layout

SMALL_PARAMETERS = 16384  # of networks whose batches may be cut into segments: their gradients stay in the cache
ROWS_OF_SEGMENT, MOST_SEGMENTS = 192, 16
MOST_PICTURE_SEGMENTS = 8
NARROW = 1.25  # times as many products by panels as by lanes pay for transposing rows


class Plan:
    """A network lowered for one element type.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Width of a row of input and of output.
    n_pictures : int
        Operations on pictures, which stand before the others.
    dtype : numpy.dtype
    weights : list of Place
        Where the weights of all layers lie, in the order of `weight_shapes`.
    weight_shapes : list of tuple
        In the order of the layers: of a dense layer (inputs, units) and, with a bias, (units,); of a normalization
        (inputs,) for gamma and beta, if it has them, and for the moving mean and variance of a batch normalization.
    n_parameters : int
        Elements of the flat vector of trained parameters, padding included.
    ops, factors : ndarray
        Integer table (operations, OPERATION_COLUMNS) and float table (operations, FACTOR_COLUMNS).
    scaling : ndarray of shape (2,)
        Factor and summand that every input gets when it is copied to the workspace.
    mixed : bool
        Whether products are of bfloat16, their sums and everything else float32.
    picture_parameters : int
        Elements of that vector that belong to operations on pictures: its first ones.
    memory_size : int
        Elements of the vector that holds the parameters and, behind them, what is not trained: the statistics of
        normalizations and the rounded weights of mixed precision.
    l2_per_row : bool
        Whether a penalty is divided by the rows of the batch, as scikit-learn does, or not, as Keras does.
    lanes : int
        Elements of a vector: columns in a panel of weights. With 1, the weights of a layer stand row by row.
    """

    def __init__(
        self,
        ops: np.ndarray,
        factors: np.ndarray,
        l2_per_row: bool = False,
        scaling: tuple[float, float] = (1.0, 0.0),
        mixed: bool = False,
        lanes: int | None = None,
    ) -> None:
        self.ops = ops
        self.factors = factors
        self.dtype = factors.dtype
        self.l2_per_row = l2_per_row
        self.scaling = np.array(scaling, self.dtype)
        self.n_pictures = int((ops[:, codes.HEIGHT] > 0).sum())
        self.n_inputs = int(ops[0, [codes.HEIGHT, codes.WIDTH, codes.CHANNELS]].prod() or ops[0, codes.INPUTS])
        self.n_outputs = int(ops[-1, codes.OUTPUTS])
        self.dense = [op for op in ops if kind_of(op).has_matrix]
        self.mixed = mixed
        self.lanes = lanes = lanes or cpu.lanes(self.dtype)
        self.n_parameters = place_parameters(ops, lanes)
        self.picture_parameters = sum(int(op[codes.PANEL] * op[codes.PANELS]) for op in ops[: self.n_pictures])
        self.memory_size = place_statistics(ops, self.n_parameters, lanes)
        if self.keeps_pairs:
            self.memory_size = place_pairs(ops, self.memory_size, lanes)
        self.weights, self._ones = weight_places(ops, lanes)
        self.weight_shapes = [place.shape for place in self.weights]

    @property
    def keeps_pairs(self) -> bool:
        """Whether rounded operands of mixed precision are kept in memory; a GPU rounds them while it computes."""
        return self.mixed and self.lanes > 1

    @property
    def flops_per_row(self) -> int:
        """Multiplications and additions of one row's forward pass."""
        uses = [max(1, int(op[codes.OUT_HEIGHT] * op[codes.OUT_WIDTH])) for op in self.dense]  # of every weight
        return int(sum(2 * n * op[codes.INPUTS] * op[codes.OUTPUTS] for n, op in zip(uses, self.dense, strict=True)))

    def pack(
        self, weights: Sequence[np.ndarray], flat: np.ndarray, trained: bool = False, first: int | None = None
    ) -> None:
        """Write weights of ``weight_shapes`` to a flat vector of ``memory_size``: all, or those from ``first`` on.

        With ``trained``, the arrays are of the trained weights alone and ``n_parameters`` elements are enough.

        Raises
        ------
        ValueError
            If the number of arrays or a shape is another one; nothing is written then.
        """
        places = self._places(trained) if first is None else self.weights[first : first + len(weights)]
        shapes, wanted = [np.shape(weight) for weight in weights], [place.shape for place in places]
        if shapes != wanted:
            raise ValueError(f"the weights must have the shapes {wanted}; got {shapes}")
        for place, weight in zip(places, weights, strict=True):
            place.write(flat, weight)
        if not trained and first is None:
            for place in self._ones:
                place.write(flat, np.ones(place.shape))

    def unpack(self, flat: np.ndarray, trained: bool = False, some: slice = slice(None)) -> list[np.ndarray]:
        """Return copies of the weights in a flat vector, or of some of them; the arguments are those of `pack`."""
        return [place.read(flat) for place in self._places(trained)[some]]

    def _places(self, trained: bool) -> list[Place]:
        return [place for place in self.weights if place.trained] if trained else self.weights

    def objective(
        self,
        loss: Loss,
        metrics: Iterable[str | Sequence[Sums]] = (),
        limit: float = math.inf,
    ) -> Objective:
        """Bind a loss and metrics to this network, see `fastnn.lowering.objective.bind`."""
        return bind(self.ops, self.dtype, loss, metrics, limit)

    def row_major(self) -> Plan:
        """The same network lowered for a device whose vectors have one element."""
        return Plan(row_major(self.ops), self.factors, self.l2_per_row, tuple(self.scaling), self.mixed, lanes=1)

    @property
    def raw_ops(self) -> np.ndarray:
        """The operations without the last one's activation."""
        ops = self.ops.copy()
        ops[-1, codes.FUNCTION] = codes.LINEAR
        return ops

    def without_memory(self) -> Plan:
        """The same plan, but its moving statistics become those of every batch."""
        twin = copy.copy(self)
        twin.factors = self.factors.copy()
        twin.factors[:, codes.MOVING_RATE] = 1.0
        return twin

    def check_trainable(self) -> None:
        """Raise ValueError if a gradient cannot pass through the network."""
        if codes.STEP in self.ops[:, codes.FUNCTION]:
            raise ValueError(
                "activation 'step' has no useful derivative, so a network cannot be trained through it; use 'sigmoid' "
                "or 'relu', or fastnn.Perceptron, whose rule needs no derivative"
            )

    @property
    def is_normalized(self) -> bool:
        """Whether there are normalizations, which programs have code for only if they must."""
        return any(kind_of(op).vectors for op in self.ops)

    @property
    def is_narrow(self) -> bool:
        """Whether many rows are predicted faster with one row in each lane: panels of weights would be half empty."""
        in_lanes = all(kind_of(op).in_lanes for op in self.ops) and not self.n_pictures
        if self.mixed or not in_lanes or codes.SOFTMAX in self.ops[:-1, codes.FUNCTION]:
            return False
        by_panels = sum(int(op[codes.INPUTS] * op[codes.PANELS]) for op in self.dense)
        by_lanes = sum(int((op[codes.INPUTS] + 1) * op[codes.OUTPUTS]) for op in self.dense) / cpu.lanes(self.dtype)
        return NARROW * by_lanes < by_panels

    def segments(self, batch_size: int, sparse: bool = False) -> int:
        """Segments into which a batch is cut for a team that shares its rows; 0 for one that shares every layer.

        Sharing rows costs a gradient of all parameters for each segment, but only one meeting of the team a step. A
        normalization needs the whole batch at once.
        """
        whole_batch = not set(NORMALIZATIONS).isdisjoint(self.ops[:, codes.KIND])
        by_layers = sparse or self.mixed or self.n_pictures or whole_batch
        if by_layers or self.n_parameters > SMALL_PARAMETERS or batch_size < 2 * ROWS_OF_SEGMENT:
            return 0
        return min(MOST_SEGMENTS, batch_size // ROWS_OF_SEGMENT)

    def picture_segments(self, batch_size: int) -> int:
        """Segments into which a batch of pictures is cut, 0 without pictures; each has gradients of its own."""
        return min(MOST_PICTURE_SEGMENTS, batch_size) if self.n_pictures else 0

    def layout(self, ops: np.ndarray, batch_size: int, sparse: bool = False, room: int | None = None) -> Layout:
        """Give every operation of ``ops`` its offsets in a workspace for batches of up to ``batch_size`` rows.

        There are ``room`` elements before each row, by default a vector. With ``sparse`` inputs the workspace has no
        room for them.

        Raises
        ------
        ValueError
            For sparse inputs in mixed precision, or that no dense layer reads.
        """
        if sparse and ops[0, codes.KIND] != codes.DENSE:
            raise ValueError("sparse rows need a dense layer as the first operation: put other layers behind it")
        if sparse and self.mixed:
            raise ValueError("dtype 'mixed_bfloat16' is not trained on sparse rows: use float32, or a dense array")
        return layout(ops, batch_size, self.dtype, self.lanes, room or self.lanes, self.keeps_pairs, sparse)
