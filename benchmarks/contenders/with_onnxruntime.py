"""ONNX Runtime, for predictions."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders.base import Contender, Work, need, pairs
from benchmarks.problems import LAST_ACTIVATIONS, PredictProblem


class OnnxRuntime(Contender):
    name = "onnxruntime"
    label = "ONNX Runtime"
    distributions = ("onnxruntime", "onnx")

    def __init__(self) -> None:
        self._threads = 1

    def limit(self, threads: int) -> None:
        self._threads = threads

    def predict(self, problem: PredictProblem) -> Work:
        import onnxruntime

        need(LAST_ACTIVATIONS[problem.task.loss] == "sigmoid")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        model = _model(problem).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return Work.of(lambda: session.run(None, {"x": problem.x})[0])


def _model(problem: PredictProblem) -> Any:
    """Return the network as a graph of Gemm and activation nodes."""
    from onnx import TensorProto, checker, helper, numpy_helper

    layers, nodes, arrays, current = pairs(problem.weights), [], [], "x"
    for i, (kernel, bias) in enumerate(layers):
        arrays += [numpy_helper.from_array(kernel, f"kernel_{i}"), numpy_helper.from_array(bias, f"bias_{i}")]
        nodes.append(helper.make_node("Gemm", [current, f"kernel_{i}", f"bias_{i}"], [f"z_{i}"]))
        last = i == len(layers) - 1
        operator = "Sigmoid" if last else {"relu": "Relu", "tanh": "Tanh"}[problem.task.activation]
        current = "y" if last else f"a_{i}"
        nodes.append(helper.make_node(operator, [f"z_{i}"], [current]))
    inputs, outputs = problem.task.layers[0], problem.task.layers[-1]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", outputs])],
        arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return model
