"""TensorRT behind the engine protocol: a trusted plan on the device, adapters as packed inputs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, check_adapter, default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import Engine, Prediction, PreparedAdapter, check_prediction, fill_window
from cavs.runtime.errors import EngineError
from cavs.runtime.plan import TrustedPlan
from cavs.runtime.rtx_cache import RuntimeCacheFile
from cavs.runtime.tensorrt_cuda import Bytes, Cuda
from cavs.runtime.tensorrt_executor import TensorRtExecutor
from cavs.runtime.tensorrt_versions import Library


@dataclass(frozen=True, slots=True, eq=False)
class TensorRtAdapter:
    """An adapter packed for one copy to the device. It lives on the host: any number of them cost the device nothing."""

    adapter: Adapter
    engine: "TensorRtEngine"
    packed: Bytes


class TensorRtEngine:
    """Runs a plan whose LoRA pairs are inputs; ready, warm and checked against the manifest when constructed.

    reserve: an engine of the same bundle that goes on if this one fails; it is closed by whoever took it from here.
    Raises BundleRejected if the plan is not what the manifest says, EngineError if CUDA or TensorRT fails.
    """

    def __init__(
        self,
        bundle: Bundle,
        plan: TrustedPlan,
        *,
        library: Library,
        cuda: Cuda,
        graphs: bool = True,
        cache: RuntimeCacheFile | None = None,
        reserve: Engine | None = None,
    ) -> None:
        self.bundle, self.reserve = bundle, reserve
        self.name = library.name
        slots = bundle.manifest.adapter.slots
        self._executor: TensorRtExecutor | None = TensorRtExecutor(
            bundle, plan.content, slots, library=library, cuda=cuda, graphs=graphs, cache=cache
        )
        self._prediction = prediction_of(self._executor)
        try:
            frame, sound = np.zeros_like(self._executor.frame), np.zeros_like(self._executor.sound)
            self.run(frame, sound, self.prepare(default_adapter(bundle)))
        except BaseException:
            self.close()
            raise

    @property
    def executor(self) -> TensorRtExecutor:
        """What runs the plan, for measuring it alone. Raises EngineError if the engine is closed."""
        return self._open()

    @property
    def graphs_off(self) -> str:
        """Why windows are not replayed as a CUDA graph; empty if they are."""
        return self._open().graphs_off

    def prepare(self, adapter: Adapter) -> TensorRtAdapter:
        """Packs an adapter's tensors; the first window that uses it copies them to the device."""
        executor = self._open()
        check_adapter(adapter, self.bundle)
        return TensorRtAdapter(adapter, self, executor.pack(adapter.tensors))

    def run(self, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], adapter: PreparedAdapter) -> Prediction:
        """Runs one window; see `Engine.run`."""
        executor = self._open()
        if not isinstance(adapter, TensorRtAdapter) or adapter.engine is not self:
            raise ValueError("the adapter was prepared by another engine; prepare it with this one")
        fill_window(self.name, frame, executor.frame, sound, executor.sound)
        try:
            executor.run(adapter.packed)
        except EngineError as error:
            raise EngineError(f"{self.name}: bundle {self.bundle.id[:12]} failed to run: {error}") from error
        check_prediction(self.name, self.bundle, self._prediction)
        return self._prediction

    def close(self) -> None:
        """Frees the device; idempotent. The reserve stays open."""
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def _open(self) -> TensorRtExecutor:
        if self._executor is None:
            raise EngineError(f"{self.name}: the engine of bundle {self.bundle.id[:12]} is closed")
        return self._executor


def prediction_of(executor: TensorRtExecutor) -> Prediction:
    """Views onto an executor's outputs."""
    outputs = executor.outputs
    return Prediction(outputs[contract.LABELS][0], outputs[contract.CONFIDENCE][0], outputs[contract.PRESENCE][0])
