"""An ONNX model."""

import onnx
from onnx import TensorProto, helper


def make():
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", shape[:1], shape[1:], [weights])
    return helper.make_model(graph)


def refused():
    model = make()
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    deep = helper.make_model(onnx.GraphProto(name="g"))
    node = deep.graph.node.add(op_type="If")
    node.attribute.add(name="then", type=onnx.AttributeProto.GRAPH).g.CopyFrom(model.graph)
    return {"weights in another file": model, "the same deep inside": deep}
