"""Chooses the two thresholds of the default adapter, on val only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cavs.adapt.metrics import binary_iou
from cavs.adapt.model.network import Network
from cavs.adapt.scenarios import CaseSource
from cavs.adapt.serving import answer
from cavs.runtime.engine import LABEL_FIRST_CLASS, LABEL_SILENT

CANDIDATES = np.round(np.arange(0.30, 0.81, 0.05), 2)  # probabilities of sounding
WITH_MASK = ("alone", "one_silent", "two_sound", "off_mixed")
WITHOUT_MASK = {"off_only": 0.005, "no_target": 0.002}  # mask mass that may remain: the targets of the project
EXCESS_PRICE = 20.0  # IoU lost for each unit of mass above that: .001 of the frame costs .02 IoU
KNOWN_SHARE = 0.97  # of the pixels that are named right stays named; the rest of the cosines counts as far from any class
BATCH = 16

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The thresholds and what they were chosen from: mean IoU and mass of each candidate."""

    sounding: float
    near: float
    iou: dict[str, float]
    mass: dict[str, dict[str, float]]


def calibrate(network: Network, source: CaseSource, frames: int, seed: int) -> Calibration:
    """Tries every candidate on composed cases. The network must be in evaluation mode; it is not changed."""
    iou = np.mean([_over_candidates(network, source, name, frames, seed)[0] for name in WITH_MASK], axis=0)
    mass = {name: _over_candidates(network, source, name, frames, seed)[1] for name in WITHOUT_MASK}
    excess = np.sum([np.maximum(0.0, mass[name] - most) for name, most in WITHOUT_MASK.items()], axis=0)
    best = int(np.argmax(iou - EXCESS_PRICE * excess))
    return Calibration(
        sounding=float(CANDIDATES[best]),
        near=_near(network, source, frames, seed),
        iou={f"{t:.2f}": float(value) for t, value in zip(CANDIDATES, iou, strict=True)},
        mass={name: {f"{t:.2f}": float(v) for t, v in zip(CANDIDATES, values, strict=True)} for name, values in mass.items()},
    )


def _over_candidates(network: Network, source: CaseSource, name: str, frames: int, seed: int) -> tuple[Floats, Floats]:
    """Mean binary IoU and mean mass of one scenario at every candidate."""
    iou, mass = [], []
    for case in source.cases(name, frames, seed):
        confidence = answer(network, case.frame[None], case.sound[None]).confidence
        marked = confidence > 255 * CANDIDATES[:, None, None]
        iou.append(binary_iou(marked, np.repeat(case.truth[None] != LABEL_SILENT, len(CANDIDATES), axis=0)))
        mass.append(marked.mean((1, 2)))
    return np.mean(iou, axis=0), np.mean(mass, axis=0)


def _near(network: Network, source: CaseSource, frames: int, seed: int) -> float:
    """The cosine above which KNOWN_SHARE of the pixels that are named right lie."""
    found = []
    for case in source.cases("one_silent", frames, seed):
        said = answer(network, case.frame[None], case.sound[None])
        step = case.truth.shape[0] // said.nearness.shape[1]
        labels, truth = said.labels[0, ::step, ::step], case.truth[::step, ::step]
        right = (truth >= LABEL_FIRST_CLASS) & (labels == truth)
        found.append(said.nearness[0][right])
    cosines = np.concatenate(found)
    return float(np.quantile(cosines, 1 - KNOWN_SHARE)) if len(cosines) else float(network.thresholds[1])
