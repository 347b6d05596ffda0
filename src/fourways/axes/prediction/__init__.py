"""Memory, said from a model's config alone: the probe's own program on tensors that have shapes and no bytes.

The family's and transformers' code runs, so a prediction follows them where a formula would rot. Must never read
weights, hold a tensor of a model's size, or know a family by name.

Public face: `predict` and `predicted_rows` (what the memory axis will measure), `load_shapes`, `request_peaks` and
`training_peak` (any workload), `Workload`.
"""

from fourways.axes.prediction.model import ModelAsk, load_shapes
from fourways.axes.prediction.predict import predict, predicted_rows
from fourways.axes.prediction.simulate import request_peaks, training_peak
from fourways.axes.prediction.workload import Workload

__all__ = ["ModelAsk", "Workload", "load_shapes", "predict", "predicted_rows", "request_peaks", "training_peak"]
