"""Write torch networks as ONNX graphs of plain operators, and prove that ONNX Runtime computes the same numbers.

The graphs are built operator by operator (MatMul, Add, Sub, Mul, Sigmoid, Split, Softplus), opset 20, with the axis of
rows left open: what TensorRT takes, and nothing that depends on a tracer's version.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from dyna_nav.world_model.encoding import FEATURES, OUTPUTS
from dyna_nav.world_model.ensemble import Ensemble

OPSET = 20
TOLERANCE = 1e-3  # greatest difference allowed between torch and ONNX Runtime, normalised units


class Graph:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value) -> str:
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes) -> str:
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def linear(self, name: str, x: str, weight, bias) -> str:
        product = self.add("MatMul", x, self.constant(f"{name}.weight", weight))
        return self.add("Add", product, self.constant(f"{name}.bias", bias))

    def silu(self, x: str) -> str:
        return self.add("Mul", x, self.add("Sigmoid", x))

    def model(self, name: str, inputs: dict[str, list], outputs: dict[str, list]) -> bytes:
        """The checked model as bytes; inputs and outputs map names to shapes, "rows" for the open axis."""

        def values(shapes):
            return [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()]

        graph = helper.make_graph(self.nodes, name, values(inputs), values(outputs), self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="dyna_nav")
        model.ir_version = 9
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def export_ensemble(ensemble: Ensemble, check: torch.Tensor) -> bytes:
    """The ensemble as ONNX bytes: "features" -> "mean", "log_variance".

    check [members, rows, FEATURES] are real features on which torch and ONNX Runtime must agree; raises RuntimeError
    when they do not.
    """
    ensemble = ensemble.eval()
    graph = Graph()
    # The normalisation folds into the first layer: one matrix product less exact by nothing, two operators fewer.
    weight = ensemble.first.weight * ensemble.feature_scale[None, :, None]
    bias = ensemble.first.bias - torch.matmul(ensemble.feature_mean[None, None, :], weight)
    x = graph.silu(graph.linear("first", "features", weight, bias))
    x = graph.silu(graph.linear("second", x, ensemble.second.weight, ensemble.second.bias))
    heads = graph.linear("heads", x, ensemble.heads.weight, ensemble.heads.bias)
    graph.constant("columns", np.array([OUTPUTS, OUTPUTS], np.int64))
    graph.nodes.append(
        helper.make_node("Split", [heads, "columns"], ["mean", "raw_log_variance"], name="split", axis=-1)
    )
    upper = graph.constant("max_log_variance", ensemble.max_log_variance)
    lower = graph.constant("min_log_variance", ensemble.min_log_variance)
    below = graph.add("Sub", upper, graph.add("Softplus", graph.add("Sub", upper, "raw_log_variance")))
    graph.add("Add", lower, graph.add("Softplus", graph.add("Sub", below, lower)), name="log_variance")
    shapes = [ensemble.members, "rows", OUTPUTS]
    model = graph.model(
        "ensemble", {"features": [ensemble.members, "rows", FEATURES]}, {"mean": shapes, "log_variance": shapes}
    )
    with torch.no_grad():
        expected = ensemble(check)
    require_equal(model, check, expected)
    return model


def require_equal(model: bytes, features: torch.Tensor, expected: tuple[torch.Tensor, ...]) -> float:
    """Greatest difference between ONNX Runtime's outputs and torch's; RuntimeError above TOLERANCE."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"features": features.numpy()})
    worst = max(float(np.abs(found - wanted.numpy()).max()) for found, wanted in zip(outputs, expected, strict=True))
    if not worst <= TOLERANCE:
        raise RuntimeError(f"the exported network differs from torch by {worst:.2g}; the tolerance is {TOLERANCE}")
    return worst
