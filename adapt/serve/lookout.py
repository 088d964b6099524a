"""Both versions on what the stream saw just now: has the new one gone blind, or does it mark what is silent?"""

import numpy as np

from cavs.adapt.serve.gate_live import SILENCE_RMS
from cavs.adapt.serve.trial import Contender, Sound
from cavs.runtime.engine import LABEL_SILENT
from cavs.runtime.lesson_windows import Windows

BLIND_SHARE = 0.5
"""Of the windows in which the version before marks something, from which on a new one that marks nothing is blind."""
MARKED_LEAST = 0.002
"""Share of a picture: less than this is noise, not something marked."""


def what_is_wrong(new: Contender, before: Contender, live: Windows, silent_mass: float) -> str:
    """One line; empty if nothing is. silent_mass: share of the picture that may be marked, on average, in silence."""
    sound = new.engine.bundle.manifest.sound
    marked, blind, silent = 0, 0, []
    for k in range(len(live)):
        heard = live.sound_of(k, sound.samples, sound.lookahead_samples)
        now = _mass(new, live, k, heard)
        if float(np.sqrt(np.mean(np.square(heard)))) < SILENCE_RMS:
            silent.append(now)
        elif _mass(before, live, k, heard) > MARKED_LEAST:
            marked += 1
            blind += now <= MARKED_LEAST
    if silent and np.mean(silent) > silent_mass:
        return f"it marks {np.mean(silent):.1%} of the picture in silence"
    if marked and blind > BLIND_SHARE * marked:
        return f"it has gone blind: it marks nothing in {blind} of {marked} windows in which the version before does"
    return ""


def _mass(contender: Contender, live: Windows, k: int, heard: Sound) -> float:
    return float((contender.say(live.frames[k], heard) != LABEL_SILENT).mean())
