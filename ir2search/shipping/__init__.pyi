from .onnx_graph import onnx_model as onnx_model
