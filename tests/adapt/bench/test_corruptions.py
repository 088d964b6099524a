"""Domains: the same clip in worse light or with worse sound."""

import numpy as np
import pytest

from cavs.adapt.bench.corruptions import CORRUPTIONS, NOISE_SNR_DB, corrupt
from cavs.adapt.data.clip_set import LabelledClip
from tests.bench_clips import moving_square

CLIP = moving_square("one", "train", 2, ("cat",), np.random.default_rng(0))


def changed(domain: str) -> LabelledClip:
    return corrupt(CLIP, domain)


def test_five_domains_change_pictures_or_sound_and_never_masks() -> None:
    assert list(CORRUPTIONS) == ["clean", "night", "blur", "noise", "reverb"]
    seen = {name: not np.array_equal(changed(name).frames, CLIP.frames) for name in CORRUPTIONS}
    heard = {name: not np.array_equal(changed(name).samples, CLIP.samples) for name in CORRUPTIONS}
    assert seen == {"clean": False, "night": True, "blur": True, "noise": False, "reverb": False}
    assert heard == {"clean": False, "night": False, "blur": False, "noise": True, "reverb": True}
    assert all(changed(name).masks is CLIP.masks for name in CORRUPTIONS)


def test_night_is_dark_and_blur_is_smooth() -> None:
    assert changed("night").frames.mean() < 0.4 * CLIP.frames.mean()

    def edges(clip: LabelledClip) -> float:
        return float(np.abs(np.diff(clip.frames.astype(int), axis=2)).mean())

    assert edges(changed("blur")) < 0.7 * edges(CLIP)


def test_noise_lies_so_far_below_the_sound_and_an_echo_keeps_its_loudness() -> None:
    added = changed("noise").samples - CLIP.samples
    ratio = np.mean(CLIP.samples**2) / np.mean(added**2)
    assert 10 * np.log10(ratio) == pytest.approx(NOISE_SNR_DB, abs=0.2)
    echoed = changed("reverb").samples
    assert np.sqrt(np.mean(echoed**2)) == pytest.approx(np.sqrt(np.mean(CLIP.samples**2)), rel=1e-3)
    assert np.isfinite(echoed).all()


def test_a_clip_is_always_corrupted_alike_and_silence_stays_silent() -> None:
    assert np.array_equal(changed("noise").samples, changed("noise").samples)
    silent = LabelledClip("x", "test", (), CLIP.frames, CLIP.masks, CLIP.annotated, np.zeros(16_000, np.float32))
    assert not corrupt(silent, "reverb").samples.any()
