"""Both versions on the same live windows: blindness and marks in silence are seen, a quiet scene is no fault."""

import numpy as np
import pytest

from cavs.adapt.serve.lookout import what_is_wrong
from cavs.adapt.serve.trial import Contender
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.lesson_windows import Windows
from cavs.runtime.onnx_engine import OnnxEngine
from tests.lessons import coloured_windows
from tests.tiny_bundle import adapter_with

RED = (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("thresholds", "amplitude", "words"),
    [
        ((0.5, 0.8), 0.5, ""),
        ((0.5, 0.8), 0.0, ""),
        ((0.999, 0.8), 0.03, "it has gone blind: it marks nothing in 8 of 8 windows"),
        ((-0.1, 0.8), 0.0, "it marks 100.0% of the picture in silence"),
    ],
)
def test_what_is_wrong_with_the_new_one(
    tiny_bundle: Bundle, thresholds: tuple[float, float], amplitude: float, words: str
) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1)
    before = Contender(engine, adapter_with(tiny_bundle, {"thresholds": (0.3, 0.8)}))
    new = Contender(engine, adapter_with(tiny_bundle, {"thresholds": thresholds}))
    live = coloured_windows(tiny_bundle, RED, amplitude=amplitude)
    fault = what_is_wrong(new, before, live, silent_mass=0.005)
    assert fault.startswith(words)
    assert bool(fault) == bool(words)


def test_windows_in_which_neither_marks_anything_say_nothing(tiny_bundle: Bundle) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1)
    live = coloured_windows(tiny_bundle, RED)
    dark = Windows(np.zeros_like(live.frames), live.t_ns, live.sound, live.sound_start_ns, live.rate_hz)
    contender = Contender(engine, default_adapter(tiny_bundle))
    assert what_is_wrong(contender, contender, dark, silent_mass=0.005) == ""
