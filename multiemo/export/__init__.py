"""A trained model as ONNX files: one for each encoder, and one for the fusion with the calibrated probabilities."""

from multiemo.export.folder import export_model
from multiemo.export.records import Exported
from multiemo.export.tensors import input_tensors

__all__ = ["Exported", "export_model", "input_tensors"]
