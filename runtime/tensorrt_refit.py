"""Adapters by refit: a standby engine gets `base + B A` as its weights while the other runs; then the two change places.

Only for comparison with adapters as inputs, and where these cost too much. An engine that runs is never refitted: the
call is undefined while work is pending, and what it leaves after a failure is a mixture.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, Tensors, check_adapter, default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import Engine, Prediction, PreparedAdapter, check_prediction, fill_window
from cavs.runtime.errors import EngineError
from cavs.runtime.manifest import RefitWeight
from cavs.runtime.plan import TrustedPlan
from cavs.runtime.rtx_cache import RuntimeCacheFile
from cavs.runtime.tensorrt_cuda import Bytes, Cuda
from cavs.runtime.tensorrt_engine import prediction_of
from cavs.runtime.tensorrt_executor import TensorRtExecutor
from cavs.runtime.tensorrt_versions import Library, make_logger, said

PROBES = 3
LABELS_EQUAL_AT_LEAST = 0.995
"""Of the pixels of the probes, between a refitted engine and its judge: what half precision leaves."""

Weights = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class RefitAdapter:
    """An adapter folded into the base weights, and the rest of its tensors packed."""

    adapter: Adapter
    engine: "RefitEngine"
    weights: Weights
    packed: Bytes


class _Standing:
    """One of the two engines, what it holds, and its refitter."""

    def __init__(self, executor: TensorRtExecutor) -> None:
        self.executor = executor
        self.prediction = prediction_of(executor)
        self.holds: RefitAdapter | None = None
        self.logger = make_logger(executor.library)
        self.refitter = executor.library.module.Refitter(executor.engine, self.logger)


class RefitEngine:
    """Two engines of one `refit` plan, in turns. `prepare` refits the standby; the window that uses it flips.

    An adapter that was exchanged twice since (a rollback of two steps) is refitted by the window that asks for it, which
    is late then.

    reserve: an engine of the same bundle that goes on if this one fails; it is closed by whoever took it from here.
    judge:   an engine of the same bundle whose answers to probes a refitted engine must give; it belongs to this one.
    Raises as TensorRtEngine does; EngineError also if the plan's refittable weights are not those that the manifest lists.
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
        judge: Engine,
    ) -> None:
        self.bundle, self.reserve, self.name = bundle, reserve, library.name
        self._judge = judge
        self._cuda = cuda
        self._listed = plan.entry.refit
        self._base = _base_weights(plan, bundle)
        self._changing = threading.Lock()
        self.refits = 0
        slots = tuple(slot for slot in bundle.manifest.adapter.slots if not slot.name.startswith(contract.LORA_PREFIX))
        self._standing: list[_Standing] = []
        try:
            for _ in range(2):
                executor = TensorRtExecutor(bundle, plan.content, slots, library=library, cuda=cuda, graphs=graphs, cache=cache)
                self._standing.append(_Standing(executor))
                self._check_complete(self._standing[-1])
            self._live = self._standing[0]
            self._put(self._live, self._folded(default_adapter(bundle)))
        except BaseException:
            self.close()
            raise

    @property
    def graphs_off(self) -> str:
        """Why windows are not replayed as a CUDA graph; empty if they are."""
        return self._open()[0].executor.graphs_off

    def prepare(self, adapter: Adapter) -> RefitAdapter:
        """Folds an adapter, and refits the standby engine with it. Raises EngineError if that fails; the live one goes on."""
        self._open()
        check_adapter(adapter, self.bundle)
        prepared = self._folded(adapter)
        with self._changing:
            same = next((one for one in self._standing if one.holds and one.holds.adapter.id == adapter.id), None)
            if same is not None and same.holds is not None:
                return same.holds
            self._put(self._standby(), prepared)
        return prepared

    def run(self, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], adapter: PreparedAdapter) -> Prediction:
        """Runs one window; see `Engine.run`."""
        self._open()
        if not isinstance(adapter, RefitAdapter) or adapter.engine is not self:
            raise ValueError("the adapter was prepared by another engine; prepare it with this one")
        if self._live.holds is not adapter:
            with self._changing:
                other = self._standby()
                if other.holds is not adapter:
                    self._put(other, adapter)
                self._live = other
        return self._answer(self._live, frame, sound)

    def close(self) -> None:
        """Frees both; idempotent. The reserve stays open."""
        for one in self._standing:
            one.refitter = None
            one.executor.close()
        self._standing = []
        self._judge.close()

    def _answer(self, one: _Standing, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32]) -> Prediction:
        fill_window(self.name, frame, one.executor.frame, sound, one.executor.sound)
        if one.holds is None:
            raise EngineError(f"{self.name}: an engine whose refit failed was asked to run")
        try:
            one.executor.run(one.holds.packed)
        except EngineError as error:
            raise EngineError(f"{self.name}: bundle {self.bundle.id[:12]} failed to run: {error}") from error
        check_prediction(self.name, self.bundle, one.prediction)
        return one.prediction

    def _put(self, one: _Standing, adapter: RefitAdapter) -> None:
        """Refits one engine. Until all is done and checked it holds nothing: a refit that fails leaves a mixture."""
        one.holds = None
        self.refits += 1
        for name, weight in adapter.weights.items():
            if not one.refitter.set_named_weights(name, one.executor.library.module.Weights(weight)):
                raise EngineError(f"{self.name}: set_named_weights {name}: {said(one.logger)}")
        if missing := one.refitter.get_missing_weights():
            raise EngineError(f"{self.name}: refit lacks {', '.join(sorted(missing))}; build the plan again")
        if not one.refitter.refit_cuda_engine_async(int(one.executor.stream)):
            raise EngineError(f"{self.name}: refit_cuda_engine_async: {said(one.logger)}")
        self._cuda.call("cudaStreamSynchronize", one.executor.stream)
        one.executor.capture()  # what a graph captured before a refit computes with is nowhere said
        one.holds = adapter
        try:
            self._check_probes(one, adapter.adapter)
        except EngineError:
            one.holds = None
            raise

    def _check_probes(self, one: _Standing, adapter: Adapter) -> None:
        expected = self._judge.prepare(adapter)
        equal = []
        rng = np.random.default_rng(0)
        for _ in range(PROBES):
            frame = rng.integers(0, 256, one.executor.frame.shape, np.uint8)
            sound = rng.normal(0, 0.1, one.executor.sound.shape).astype(np.float32)
            labels = self._judge.run(frame, sound, expected).labels.copy()
            equal.append(float((self._answer(one, frame, sound).labels == labels).mean()))
        if (share := sum(equal) / PROBES) < LABELS_EQUAL_AT_LEAST:
            raise EngineError(
                f"{self.name}: after a refit {share:.2%} of the labels equal {self._judge.name}'s, "
                f"{LABELS_EQUAL_AT_LEAST:.1%} were expected; adapter {adapter.id[:12]} is not used"
            )

    def _check_complete(self, one: _Standing) -> None:
        """The list of what is missing can be incomplete, so all that can be set is compared with all that will be."""
        has, listed = set(one.refitter.get_all_weights()), {weight.name for weight in self._listed}
        if has != listed:
            odd = sorted(has ^ listed)[0]
            where = "not in the manifest" if odd in has else "not in the plan"
            raise EngineError(f"{self.name}: refittable weight {odd} is {where}; build the plan again")

    def _folded(self, adapter: Adapter) -> RefitAdapter:
        weights = folded_weights(self._listed, self._base, adapter.tensors)
        return RefitAdapter(adapter, self, weights, self._standing[0].executor.pack(adapter.tensors))

    def _standby(self) -> _Standing:
        return next(one for one in self._open() if one is not self._live)

    def _open(self) -> list[_Standing]:
        if not self._standing:
            raise EngineError(f"{self.name}: the engine of bundle {self.bundle.id[:12]} is closed")
        return self._standing


def folded_weights(listed: tuple[RefitWeight, ...], base: Mapping[str, npt.NDArray[Any]], tensors: Tensors) -> Weights:
    """`base + B A` of every listed layer, in the shape and dtype that it is stored in. Always from the base.

    LoRA (arXiv 2106.09685), equation 3; the scale is already in B. Raises EngineError if that is too large for the dtype.
    """
    folded: Weights = {}
    for weight in listed:
        prefix = f"{contract.LORA_PREFIX}{weight.layer}"
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            delta = tensors[prefix + contract.LORA_UP] @ tensors[prefix + contract.LORA_DOWN]  # (out, in)
            turned = delta.T if weight.turned else delta
            whole = base[weight.name].astype(np.float32) + turned.reshape(weight.shape)
            folded[weight.name] = np.ascontiguousarray(whole.astype(weight.dtype))
        if not np.isfinite(folded[weight.name]).all():
            raise EngineError(f"layer {weight.layer}: with the adapter its {weight.dtype} weights are not finite numbers")
    return folded


def _base_weights(plan: TrustedPlan, bundle: Bundle) -> Mapping[str, npt.NDArray[Any]]:
    try:
        base = load_tensors(plan.base or b"")
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise EngineError(
            f"{bundle.root}: the base weights of its refit plan cannot be read ({error}); build it again"
        ) from error
    for weight in plan.entry.refit:
        seen = base.get(weight.name)
        if seen is None or seen.shape != weight.shape or seen.dtype != weight.dtype:
            raise EngineError(f"{bundle.root}: the base weights of its refit plan lack {weight.name}; build it again")
    return base
