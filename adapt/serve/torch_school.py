"""The real school: the network of the bundle in torch, taught by `cavs.adapt.learn`."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.from_bundle import network_from_bundle, put_adapter
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.preview import write_proposal_files
from cavs.adapt.learn.propose import propose
from cavs.adapt.learn.recall import recall_of
from cavs.adapt.learn.recalled import Recalled
from cavs.adapt.learn.training import LessonTraining
from cavs.adapt.model.checkpoint import save_checkpoint
from cavs.adapt.model.lora import detach_lora, fold_lora
from cavs.adapt.model.network import Network
from cavs.adapt.model.reserve import reserve_room
from cavs.adapt.serve.school import Arrays, Proposed, Training
from cavs.adapt.serve.yielding import threads_for_learning
from cavs.adapt.serving import answer
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, default_adapter, make_adapter
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.disk import Disk
from cavs.runtime.errors import AdaptError, LessonRejected
from cavs.runtime.lesson import LessonRequest
from cavs.runtime.lesson_windows import Windows

EXPORT_WINDOWS = 20
"""Windows that the export compares on; the learner compares again, on its anchors and on what the stream sees."""
CHILD_LOOK_S = 0.2
CHILD_ENDS_S = 5.0


class LessonSteps:
    """`LessonTraining` as the learner counts it: one loss for each step."""

    def __init__(self, training: LessonTraining) -> None:
        self._training = training

    @property
    def steps(self) -> int:
        return self._training.steps

    @property
    def done(self) -> int:
        return self._training.done

    def step(self) -> float | None:
        """None while pictures are composed: nothing is learned then."""
        losses = self._training.step()
        return sum(losses.values()) if losses else None

    def state(self) -> Arrays:
        return self._training.state()

    def load(self, state: Arrays) -> None:
        self._training.load(state)

    def adapter(self, bundle: Bundle) -> Adapter:
        return self._training.adapter(bundle)


class TorchSchool:
    """Teaches bundles that were exported from our network. One thread."""

    def __init__(self, options: LearnOptions | None = None, *, disk: Disk | None = None) -> None:
        torch.set_num_threads(threads_for_learning())
        self._options = options or LearnOptions()
        self._disk = disk or Disk()
        self._networks: dict[str, Network] = {}

    def propose(  # noqa: PLR0917  as School
        self, bundle: Bundle, adapter: Adapter, request: LessonRequest, windows: Windows, mask: Path | None, out: Path
    ) -> Proposed:
        """See `School.propose`."""
        frame, sound = bundle.manifest.frame, bundle.manifest.sound
        drawn = None if mask is None else _mask(mask, (frame.height_px, frame.width_px))
        proposal = propose(self._network(bundle), adapter, request, windows, drawn, sound.lookahead_samples)
        write_proposal_files(proposal, windows, out, self._disk)
        return Proposed(proposal.exemplars, proposal.record)

    def training(  # noqa: PLR0917  as School
        self,
        bundle: Bundle,
        parent: Adapter,
        new: Sequence[Exemplar],
        memory: Sequence[Exemplar],
        seed: int,
        forgot: Sequence[str] = (),
    ) -> Training:
        """See `School.training`."""
        return LessonSteps(LessonTraining(self._network(bundle), parent, new, memory, self._options, seed, forgot))

    def labels(
        self, bundle: Bundle, adapter: Adapter, frames: npt.NDArray[np.uint8], sounds: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.uint8]:
        """See `School.labels`."""
        network = self._network(bundle)
        put_adapter(network, adapter)
        return answer(network, frames, sounds).labels

    def recalled(self, bundle: Bundle, adapter: Adapter) -> dict[str, Recalled]:
        """See `School.recalled`."""
        network = self._network(bundle)
        put_adapter(network, adapter)
        return recall_of(network)

    @torch.inference_mode()
    def embedding(
        self, bundle: Bundle, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        """See `School.embedding`. With the bundle's own adapter, so that a thing looks the same after the next lesson."""
        network = self._network(bundle)
        put_adapter(network, default_adapter(bundle))
        image = torch.from_numpy(frame[None].copy()).permute(0, 3, 1, 2)
        pixels = network.encode_visual(image).embedding[0].permute(1, 2, 0).numpy()
        share = cv2.resize(mask.astype(np.float32), pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
        mean = (pixels * share[..., None]).sum((0, 1))
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)

    def without(self, bundle: Bundle, adapter: Adapter, name: str) -> Adapter:
        """See `School.without`. The pairs stay: what they know of the class goes only by learning again without it."""
        tensors = {key: tensor.copy() for key, tensor in adapter.tensors.items()}
        for row in [row for row, label in adapter.classes if label == name]:
            tensors[contract.CLASS_TABLE][row] = 0
            tensors[contract.CLASS_USED][row] = 0
        classes = tuple((row, label) for row, label in adapter.classes if label != name)
        return make_adapter(tensors, bundle=bundle, classes=classes, method="forget", parent=adapter.id)

    def folded(self, bundle: Bundle, adapter: Adapter, out: Path, class_capacity: int, between: Callable[[], None]) -> Bundle:
        """See `School.folded`. The export is a process of its own: `adapt` does not import it, and its memory goes with it."""
        network = self._network(bundle)
        self._networks.clear()  # this one gets other weights
        put_adapter(network, adapter)
        fold_lora(network)
        detach_lora(network)
        roomy = reserve_room(network, [name for _, name in adapter.classes], class_capacity)
        checkpoint = out.with_name(f".{out.name}.writing.safetensors")
        save_checkpoint(roomy, checkpoint, {"folded_bundle": bundle.id, "folded_adapter": adapter.id})
        command = [
            *(sys.executable, "-m", "cavs.export.cli", "onnx", str(checkpoint), "--out", str(out)),
            *("--capacity", str(class_capacity), "--count", str(EXPORT_WINDOWS), "--name", bundle.manifest.name),
        ]
        try:
            _run(command, between)
        finally:
            checkpoint.unlink(missing_ok=True)
        return read_bundle(out)

    def _network(self, bundle: Bundle) -> Network:
        if bundle.id not in self._networks:
            self._networks = {bundle.id: network_from_bundle(bundle)}
        return self._networks[bundle.id]


def _mask(path: Path, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise LessonRejected(f"{path}: no picture can be read from it; a PNG, white where the thing is, was expected")
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_NEAREST) > 127)


def _run(command: Sequence[str], between: Callable[[], None]) -> None:
    """Runs a child of our own priority to its end. Raises AdaptError with its last line."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        try:
            said = _watched(child, between)
        except BaseException:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(CHILD_ENDS_S)
            except subprocess.TimeoutExpired:
                child.kill()
            raise
    if child.returncode:
        last = (said.strip().splitlines() or ["it said nothing"])[-1]
        raise AdaptError(f"cavs-export ended with code {child.returncode}: {last}")


def _watched(child: "subprocess.Popen[str]", between: Callable[[], None]) -> str:
    """What it says until it ends."""
    while True:
        try:
            return child.communicate(timeout=CHILD_LOOK_S)[1]
        except subprocess.TimeoutExpired:
            between()
