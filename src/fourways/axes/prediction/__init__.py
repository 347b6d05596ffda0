"""Memory, said from a model's config alone: the probe's own program on tensors that have shapes and no bytes.

The family's and transformers' code runs, so a prediction follows them where a formula would rot. Must never read
weights, hold a tensor of a model's size, or know a family by name.

Public face: `predict` and `predicted_rows` (what the memory axis will measure); `Forecaster` (any workload, with
`Ask`, `Lora`, `Workload`), `CARDS` and `largest` (what fits); below them `load_shapes`, `request_peaks` and
`training_peak`.
"""

from fourways.axes.prediction.cards import CARDS, Card, card_named, needed_bytes
from fourways.axes.prediction.forecast import Ask, Forecast, Forecaster, Lora, StagePeak
from fourways.axes.prediction.limits import fits, largest
from fourways.axes.prediction.model import ModelAsk, load_shapes
from fourways.axes.prediction.predict import predict, predicted_rows
from fourways.axes.prediction.simulate import request_peaks, training_peak
from fourways.axes.prediction.workload import Workload

__all__ = [
    "CARDS", "Ask", "Card", "Forecast", "Forecaster", "Lora", "ModelAsk", "StagePeak", "Workload", "card_named", "fits",
    "largest", "load_shapes", "needed_bytes", "predict", "predicted_rows", "request_peaks", "training_peak",
]  # fmt: skip
