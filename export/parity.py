"""Does the graph in its engine say what the network says in torch? Measured on real windows, with two adapters."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from pydantic import JsonValue

from cavs.adapt.model.network import Network, adapter_tensors
from cavs.export.onnx_graph import Precision, ServingForm
from cavs.export.windows import Window
from cavs.runtime import contract
from cavs.runtime.errors import ExportError

LABELS_EQUAL_AT_LEAST: dict[Precision, float] = {"fp32": 0.999, "fp16": 0.995}
"""Share of pixels whose label must be the same. Half precision moves the edges of masks by a pixel here and there."""
STIR = 0.05
"""Spread of the values put into the LoRA pairs of the second adapter: enough to change what the network says."""

Arrays = dict[str, npt.NDArray[np.float32]]


@dataclass(slots=True)
class Parity:
    """What differed between torch in float32 and the engine, over all windows.

    labels_equal:       share of pixels with the same label, each adapter's windows together; the smaller of the two.
    labels_stirred:     share of pixels whose label the second adapter changes: the adapter inputs are connected.
    labels_sounding:    share of pixels that torch labels other than silent: what the comparison is worth.
    confidence_apart:   largest difference of `confidence`, of 255.
    presence_apart:     largest difference of `presence`.
    """

    windows: int
    engine: str
    labels_equal: float
    labels_stirred: float
    labels_sounding: float
    confidence_apart: float
    presence_apart: float

    def to_json(self) -> dict[str, JsonValue]:
        """For the manifest."""
        return asdict(self)


def stirred(tensors: Arrays, seed: int = 0) -> Arrays:
    """A second adapter of the same shapes: LoRA pairs that matter, the same classes."""
    rng = np.random.default_rng(seed)
    changed = dict(tensors)
    for name, tensor in tensors.items():
        if name.startswith(contract.LORA_PREFIX):
            changed[name] = tensor + rng.normal(0, STIR, tensor.shape).astype(np.float32)
    return changed


def measure_parity(network: Network, graph: Path, windows: Iterable[Window]) -> Parity:
    """Runs both on every window. Raises ExportError if the engine cannot load the graph, or there are no windows."""
    session = _session(graph)
    form = ServingForm(network)
    adapters = (adapter_tensors(network), stirred(adapter_tensors(network)))
    equal, changed, sounding, total = [0, 0], 0, 0, 0
    result = Parity(0, f"onnxruntime {onnxruntime.__version__} CPU", 0.0, 0.0, 0.0, 0.0, 0.0)
    for window in windows:
        answers = list(_answers(form, session, window, adapters))
        for index, (expected, seen) in enumerate(answers):
            equal[index] += int((expected.labels == seen.labels).sum())
            result.confidence_apart = max(result.confidence_apart, _apart(expected.confidence, seen.confidence))
            result.presence_apart = max(result.presence_apart, _apart(expected.presence, seen.presence))
        labels = answers[0][0].labels
        changed += int((answers[0][1].labels != answers[1][1].labels).sum())
        sounding += int((labels != 0).sum())
        total += labels.size
        result.windows += 1
    if not total:
        raise ExportError("no windows to compare torch and engine on; give a folder of videos")
    result.labels_equal, result.labels_stirred, result.labels_sounding = min(equal) / total, changed / total, sounding / total
    return result


def check_parity(parity: Parity, least: float) -> None:
    """Raises ExportError if fewer than that share of the labels are equal."""
    if parity.labels_equal < least:
        raise ExportError(
            f"labels of {parity.engine} equal torch's on {parity.labels_equal:.4%} of the pixels of {parity.windows} windows, "
            f"expected {least:.1%}; no bundle was written"
        )


def _session(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class _Outputs(NamedTuple):
    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    presence: npt.NDArray[np.float32]


def _apart(
    one: npt.NDArray[np.uint8] | npt.NDArray[np.float32], other: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
) -> float:
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).max())


@torch.inference_mode()
def _answers(
    form: ServingForm, session: onnxruntime.InferenceSession, window: Window, adapters: tuple[Arrays, ...]
) -> Iterator[tuple[_Outputs, _Outputs]]:
    """For each adapter (torch's outputs, the engine's)."""
    for adapter in adapters:
        feeds = {contract.FRAME: window.frame[None], contract.SOUND: window.sound[None], **adapter}
        tensors = [torch.from_numpy(feeds[name]) for name in (contract.FRAME, contract.SOUND, *form.slots)]
        yield _Outputs(*(output.numpy() for output in form(*tensors))), _Outputs(*session.run(None, feeds))
