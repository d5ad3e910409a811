"""Integer codes and table columns shared by the plan and the compiled programs.

A plan is data: what to compute is written in small integer and float tables, so one compiled program runs
every model. The index of a name in its tuple is its code. Those of activations and optimizers stand in
`formulas/`.
"""

from .formulas import activations as _activations
from .formulas import update_rules as _update_rules

ACTIVATIONS = tuple(_activations.ACTIVATIONS)
LINEAR, RELU, SIGMOID, TANH, SOFTMAX, STEP = map(
    ACTIVATIONS.index, ("linear", "relu", "sigmoid", "tanh", "softmax", "step")
)
OF_INPUT = tuple(code for code, each in enumerate(_activations.ACTIVATIONS.values()) if each.of_input)

LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy_from_logits",
    "categorical_crossentropy_from_logits",
    "sparse_categorical_crossentropy_from_logits",
    "poisson_deviance",
    "poisson_deviance_from_logits",  # of logarithms of rates
    "poisson",
    "poisson_from_logits",
    "huber",
    "log_cosh",
    "quantile",
    "binary_focal_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_focal_crossentropy",
    "binary_focal_crossentropy_from_logits",
    "categorical_focal_crossentropy_from_logits",
    "sparse_categorical_focal_crossentropy_from_logits",
)
(
    MSE, MAE, BINARY_CE, CATEGORICAL_CE, SPARSE_CE, BINARY_CE_LOGITS, CATEGORICAL_CE_LOGITS, SPARSE_CE_LOGITS,
    DEVIANCE, DEVIANCE_LOG_RATE, POISSON, POISSON_LOG_RATE, HUBER, LOG_COSH, QUANTILE,
    BINARY_FOCAL, CATEGORICAL_FOCAL, SPARSE_FOCAL, BINARY_FOCAL_LOGITS, CATEGORICAL_FOCAL_LOGITS, SPARSE_FOCAL_LOGITS,
) = range(len(LOSSES))  # fmt: skip
NO_LOSS = -1  # for predictions

# What a prediction makes of the network's raw outputs: its own last activation, nothing, or one of these in float64. A
# pair is the probabilities of both classes, or their logarithms, from the logit of the second.
LINKS = (
    "activation", "raw", "identity", "exp", "logistic", "logistic_pair", "softmax",
    "log_logistic", "log_logistic_pair", "log_softmax",
)  # fmt: skip
(
    OWN_ACTIVATION, RAW, IDENTITY, EXP_LINK, LOGISTIC, LOGISTIC_PAIR, SOFTMAX_LINK,
    LOG_LOGISTIC, LOG_LOGISTIC_PAIR, LOG_SOFTMAX,
) = range(len(LINKS))  # fmt: skip

# Columns of the table of parameters of losses: a row for the loss, then one for each kernel of a metric.
LOSS_COLUMNS = (
    "KEPT", "SPREAD",  # label smoothing: a target t counts as KEPT * t + SPREAD
    "SHAPE",  # delta of Huber's loss, gamma of focal ones, threshold of binary accuracy
    "POSITIVE", "NEGATIVE",  # weights of the targets 1 and 0 of the binary focal loss
    "REPEATS",  # outputs for each target: the levels of quantiles
    "LIMIT",  # the largest that one output adds to a cross-entropy of logits as it is reported
)  # fmt: skip
# They are followed by a number for each output: its weight in a categorical focal loss, its level as a quantile.
KEPT, SPREAD, SHAPE, POSITIVE, NEGATIVE, REPEATS, LIMIT, PER_OUTPUT = range(len(LOSS_COLUMNS) + 1)

OPTIMIZERS = tuple(_update_rules.OPTIMIZERS)
GRADIENT, ADAM = map(OPTIMIZERS.index, ("gradient", "adam"))

# Columns of the float64 hyper-parameter vector of an optimizer.
HYPERPARAMETERS = ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay", "nesterov")
LEARNING_RATE, BETA_1, BETA_2, EPSILON, WEIGHT_DECAY, NESTEROV = range(len(HYPERPARAMETERS))
# They are followed by the factor of every row's loss, and the largest that one output adds to a cross-entropy of logits
# as it is reported, 0 for no limit. Then come the limits of gradients, 0 for none.
CLIPPING = ("clipvalue", "clipnorm", "global_clipnorm")
LOSS_SCALE, LOSS_LIMIT, CLIPVALUE, CLIPNORM, GLOBAL_CLIPNORM, HYPER_COLUMNS = range(
    len(HYPERPARAMETERS), len(HYPERPARAMETERS) + 6
)

# Operations of a plan and the columns of its integer table; offsets and strides count elements.
# Those on pictures stand before all others of a plan, and behind them in this list.
DENSE, ACTIVATION, DROPOUT, STANDARDIZE, BATCH_NORM, LAYER_NORM, CONVOLUTION, MAX_POOL, AVERAGE_POOL = range(9)
OPERATION_COLUMNS = (
    "KIND",  # one of the above
    "INPUTS", "OUTPUTS",  # real widths
    "BIAS",  # 1 if the first row of every weight panel is the bias, else 0
    "FUNCTION",  # activation code
    "WEIGHTS", "PANEL", "PANELS",  # first weight, elements and number of panels
    "X", "X_STRIDE",  # input in the workspace: first element and row stride
    "Z", "Y", "Y_STRIDE",  # before and after the activation (the same memory unless both are needed)
    "DX", "DY",  # gradients with respect to input and output, strided like them
    "MASK",  # multipliers of a dropout, strided like the output
    "NEEDS_DX",  # 1 if an operation below has parameters
    "BY_ROWS",  # 1 if the derivatives below a layer with weights need whole rows (a softmax is among them)
    "W_PAIRS", "WT_PAIRS",  # mixed precision: weights for the forward and backward pass (0: not needed), in params
    "ROW_PAIRS", "BATCH_PAIRS",  # mixed precision: left operand, and input as pairs of rows, in the workspace
    # normalizations; what belongs to a column is PANELS * LANES elements
    "GAMMA", "BETA",  # factors and summands in the parameters
    "SCALES", "CENTERS",  # 1 if gamma, beta are trained
    "MOVING",  # means, then variances, behind the parameters: moving ones (batch) or constants (standardize)
    "NORMAL",  # normalized input in the workspace, strided like the output
    "DEVIATIONS",  # reciprocal standard deviation of every column or (layer) row in the workspace
    "SUMS",  # two sums for every column in the workspace, Y_STRIDE elements apart
    "STREAM",  # number of the stream of random numbers of a dropout
    # pictures; X, Y are first pixels, behind a border, and strides lead from picture to picture. Fields of `Windows`:
    "HEIGHT", "WIDTH", "CHANNELS", "OUT_HEIGHT", "OUT_WIDTH", "FILTERS", "KERNEL_HEIGHT", "KERNEL_WIDTH",
    "STRIDE_HEIGHT", "STRIDE_WIDTH", "DILATION_HEIGHT", "DILATION_WIDTH", "TOP", "LEFT",
    "AXES",  # of a picture, 2; 1 for sequences, which are pictures of one line
    "X_LINE", "Y_LINE", "DX_LINE", "DY_LINE",  # elements from line to line
    "DX_STRIDE", "DY_STRIDE",  # of gradients, from picture to picture; 0: they lie in a member's scratch memory
    "PRE_GRADIENT", "PRE_LINE",  # gradient before the activation, with a border, in a member's scratch memory
    "TURNED", "TURNED_PANEL",  # weights for the gradient of the input, in the workspace
)  # fmt: skip
(
    KIND, INPUTS, OUTPUTS, BIAS, FUNCTION, WEIGHTS, PANEL, PANELS, X, X_STRIDE, Z, Y, Y_STRIDE, DX, DY, MASK, NEEDS_DX,
    BY_ROWS, W_PAIRS, WT_PAIRS, ROW_PAIRS, BATCH_PAIRS, GAMMA, BETA, SCALES, CENTERS, MOVING, NORMAL, DEVIATIONS, SUMS,
    STREAM, HEIGHT, WIDTH, CHANNELS, OUT_HEIGHT, OUT_WIDTH, FILTERS, KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_HEIGHT,
    STRIDE_WIDTH, DILATION_HEIGHT, DILATION_WIDTH, TOP, LEFT, AXES, X_LINE, Y_LINE, DX_LINE, DY_LINE, DX_STRIDE,
    DY_STRIDE, PRE_GRADIENT, PRE_LINE, TURNED, TURNED_PANEL,
) = range(len(OPERATION_COLUMNS))  # fmt: skip
# Columns of the float table: activation parameter, dropout rate, penalty; what a normalization adds to the variance,
# and how far a batch moves its moving statistics, 1 - momentum.
FACTOR_COLUMNS = ("ALPHA", "RATE", "L2", "VARIANCE_OFFSET", "MOVING_RATE")
ALPHA, RATE, L2, VARIANCE_OFFSET, MOVING_RATE = range(len(FACTOR_COLUMNS))

COLUMNS, FACTORS = len(OPERATION_COLUMNS), len(FACTOR_COLUMNS)  # from one operation to the next in the two tables

# Columns of the integer vector that describes a run.
RUN_COLUMNS = (
    "BATCH", "ROWS", "TARGETS", "LOSS", "OPTIMIZER", "SHUFFLE", "WEIGHTED",
    "SEED_LOW", "SEED_HIGH", "FIRST_EPOCH",
    "WEIGHTED_MEAN",  # 1 if a batch's sums are divided by the sum of its rows' weights, 0 if by its rows
    "L2_PER_ROW",  # 1 if penalties are divided likewise
    "SEGMENTS", "PARAMETERS",  # segments of a batch whose rows a team shares, or 0; elements of each one's gradient
    # operations on pictures, segments of a batch of pictures, where their gradients begin, and elements of each one's
    "PICTURE_OPERATIONS", "PICTURE_SEGMENTS", "PICTURE_GRADIENTS", "PICTURE_PARAMETERS",
    "PICTURE_WORK",  # elements of memory for a picture on its way through a prediction
    "IN_LANES",  # 1 if predictions may hold one row in each lane
    "METRICS_FIRST",  # 1 if metrics see the logits that the loss turns into probabilities
    "LINK",  # one of LINKS
    "METRIC_KERNELS", "METRICS_COUNT",  # kernels of metrics, and columns that they write for each row
)  # fmt: skip
(
    BATCH, ROWS, TARGETS, LOSS, OPTIMIZER, SHUFFLE, WEIGHTED, SEED_LOW, SEED_HIGH, FIRST_EPOCH, WEIGHTED_MEAN,
    L2_PER_ROW, SEGMENTS, PARAMETERS, PICTURE_OPERATIONS, PICTURE_SEGMENTS, PICTURE_GRADIENTS, PICTURE_PARAMETERS,
    PICTURE_WORK, IN_LANES, METRICS_FIRST, LINK, METRIC_KERNELS, METRICS_COUNT,
    METRICS_START,
) = range(len(RUN_COLUMNS) + 1)  # fmt: skip

# They are followed by two numbers for each kernel of a metric: its code and its columns.
METRIC_CODE, METRIC_WIDTH, METRIC_NUMBERS = range(3)

# What a step on a GPU keeps there, so that all its launches have the same arguments: integers,
CLOCK_COLUMNS = (
    "NEXT_STEP", "FIRST_STEP",  # of the run: the step to do next, and the first one that the host asked for
    "HYPER_ROWS",  # rows of hyper-parameters: one, or one for each step from FIRST_STEP on
    "NOW_EPOCH", "NOW_START", "NOW_ROWS",  # the present step: its epoch, where it starts in the order, its rows
    "NOW_STEP",  # optimizer steps done before it
)  # fmt: skip
NEXT_STEP, FIRST_STEP, HYPER_ROWS, NOW_EPOCH, NOW_START, NOW_ROWS, NOW_STEP = range(len(CLOCK_COLUMNS))
# and float64.
PACE_COLUMNS = (
    "NOW_ROW_FACTOR", "NOW_SCALE",  # what a row of weight 1 counts in the batch's mean; that times the loss's factor
    "NOW_LOSS_SCALE", "NOW_LIMIT", "NOW_RATE", "NOW_MOMENTUM", "NOW_ONE_MINUS_BETA_1", "NOW_ONE_MINUS_BETA_2",
    "NOW_EPSILON", "NOW_DECAY", "NOW_NESTEROV", "NOW_CLIPVALUE", "NOW_CLIPNORM", "NOW_GLOBAL_CLIPNORM",
)  # fmt: skip
(
    NOW_ROW_FACTOR, NOW_SCALE, NOW_LOSS_SCALE, NOW_LIMIT, NOW_RATE, NOW_MOMENTUM, NOW_ONE_MINUS_BETA_1,
    NOW_ONE_MINUS_BETA_2, NOW_EPSILON, NOW_DECAY, NOW_NESTEROV, NOW_CLIPVALUE, NOW_CLIPNORM, NOW_GLOBAL_CLIPNORM,
) = range(len(PACE_COLUMNS))  # fmt: skip
