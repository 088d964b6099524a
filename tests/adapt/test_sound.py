"""Composed sound: who sounds now, exactly; what is mixed in; the same for the same seed."""

import numpy as np
import pytest

from cavs.adapt.data.ingredients import BLOCK, RATE_HZ, Ingredients, Recording, Samples
from cavs.adapt.data.sound import HOLD_S, Sound, SoundLine, SoundWish, Span, compose_line, compose_sound
from cavs.runtime.errors import DataRejected

PLAIN = SoundWish(onset=0, late_onset=0, stopping=0, stopped=0, ambience=0, strength=0, level_dbfs=(-20, -20), gain_db=0)
STEADY, BURSTS = "steady", "bursts"


def two_voices() -> Ingredients:
    """A class that never pauses, and one of short bursts a second apart."""
    time_s = np.arange(5 * RATE_HZ) / RATE_HZ
    steady = 0.3 * np.sin(2 * np.pi * 500 * time_s)
    bursts = 0.3 * np.sin(2 * np.pi * 2000 * time_s) * (time_s % 1.0 < 0.1)
    recordings = {
        name: (Recording(f"{name}.flac", name, name, samples.astype(np.float32)),)
        for name, samples in ((STEADY, steady), (BURSTS, bursts))
    }
    return Ingredients("train", {}, recordings)


def compose(seed: int, *classes: str, wish: SoundWish = PLAIN, samples: int = 2 * RATE_HZ) -> Sound:
    return compose_sound(two_voices(), np.random.default_rng(seed), classes=classes, samples=samples, wish=wish)


def line(seed: int, spans: dict[str, list[Span]], seconds: float = 5.0) -> SoundLine:
    length = round(seconds * RATE_HZ)
    return compose_line(two_voices(), np.random.default_rng(seed), spans=spans, samples=length, wish=PLAIN)


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))


def test_the_same_seed_gives_the_same_sound(few: Ingredients) -> None:
    classes = few.classes_with_both()[:2]
    one, two, other = (compose_sound(few, np.random.default_rng(seed), classes=classes) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.samples, two.samples)
    assert one.active == two.active
    assert (one.samples != other.samples).any()


def test_windows_have_their_length_and_stay_within_full_scale(few: Ingredients) -> None:
    classes = few.classes_with_both()
    for seed in range(40):
        sound = compose_sound(few, np.random.default_rng(seed), classes=classes[: seed % 4], samples=16_000 + seed)
        assert sound.samples.shape == (16_000 + seed,)
        assert sound.samples.dtype == np.float32
        assert np.isfinite(sound.samples).all()
        assert np.abs(sound.samples).max() <= 1.0
        assert set(sound.active) == set(classes[: seed % 4])


def test_a_source_sounds_for_another_600_ms() -> None:
    loud = np.zeros(250, bool)
    loud[100] = True  # active from 2.00 to 2.02 s
    sound = SoundLine(np.zeros(5 * RATE_HZ, np.float32), {"a": loud})
    moments = {ms: sound.sounding_at(ms * RATE_HZ // 1000)["a"] for ms in (1990, 2000, 2010, 2600, 2619, 2620, 3000)}
    assert moments == {1990: False, 2000: False, 2010: True, 2600: True, 2619: True, 2620: False, 3000: False}


def test_what_is_active_is_what_can_be_heard() -> None:
    """Every block of the mixture is loud just where one of the sources is active."""
    for seed in range(20):
        sound = line(seed, {BURSTS: [(-1.0, 2.0), (3.0, 5.0)]})
        heard = np.sqrt(np.square(sound.samples.reshape(-1, BLOCK)).mean(axis=1))
        active = sound.loud[BURSTS]
        noise_floor = 10 ** (-54 / 20)  # a microphone's floor lies at least 34 dB below -20 dBFS
        assert heard[~active].max() < noise_floor
        # A change of speed may move an edge within its block, and the fade of a cut takes half a block.
        assert np.mean(heard[active] > noise_floor) > 0.85


def test_spans_switch_a_source_on_and_off() -> None:
    sound = line(0, {STEADY: [(1.0, 2.0), (3.5, 4.0)]})
    states = [sound.sounding_at(round(s * RATE_HZ))[STEADY] for s in (0.5, 1.0, 1.1, 2.5, 2.7, 3.4, 3.6, 4.5, 4.7)]
    assert states == [False, False, True, True, False, False, True, True, False]


def test_a_line_of_two_knows_each_alone() -> None:
    sound = line(0, {STEADY: [(-1.0, 1.0)], BURSTS: [(2.0, 5.0)]})
    assert sound.sounding_at(RATE_HZ) == {STEADY: True, BURSTS: False}
    assert sound.sounding_at(round(2.5 * RATE_HZ)) == {STEADY: False, BURSTS: True}


def test_a_sound_that_goes_on_is_active() -> None:
    assert all(compose(seed, STEADY).active[STEADY] for seed in range(20))
    assert np.mean([compose(seed, BURSTS).active[BURSTS] for seed in range(40)]) > 0.8


def test_a_late_onset_is_heard_only_at_the_end() -> None:
    for seed in range(20):
        sound = compose(seed, STEADY, wish=SoundWish(late_onset=1.0, onset=0, ambience=0, strength=0))
        assert sound.active[STEADY]
        assert rms(sound.samples[-800:]) > 10 * rms(sound.samples[: -round(0.52 * RATE_HZ)])


def test_a_source_that_stopped_long_ago_is_heard_but_not_active() -> None:
    wish = SoundWish(stopped=1.0, onset=0, late_onset=0, stopping=0, ambience=0, strength=0)
    for seed in range(20):
        sound = compose(seed, STEADY, wish=wish)
        assert not sound.active[STEADY]
        assert rms(sound.samples[: -round(HOLD_S * RATE_HZ)]) > 0
        assert rms(sound.samples) > 10 * rms(sound.samples[-round((HOLD_S - 0.02) * RATE_HZ) :])


def test_a_source_that_stopped_just_now_is_still_active() -> None:
    wish = SoundWish(stopping=1.0, onset=0, late_onset=0, stopped=0)
    assert all(compose(seed, STEADY, wish=wish).active[STEADY] for seed in range(20))


def test_without_classes_there_is_silence_a_floor_or_something_else() -> None:
    silent = compose(0, wish=SoundWish(nothing=1.0))
    assert not silent.samples.any()
    assert silent.active == {}
    faint = compose(0, wish=SoundWish(nothing=0.0, faint=1.0))
    assert 0 < rms(faint.samples) < 10 ** (-45 / 20)
    other = compose(0, wish=SoundWish(nothing=0.0, faint=0.0, off_target=(STEADY,)))
    assert rms(other.samples) > 10 ** (-45 / 20)


def test_ambience_is_of_the_classes_allowed_and_never_active() -> None:
    wish = SoundWish(ambience=1.0, off_target=(BURSTS,))
    sounds = [compose(seed, STEADY, wish=wish) for seed in range(20)]
    assert {name for sound in sounds for name in sound.recordings} == {"steady.flac", "bursts.flac"}
    assert all(set(sound.active) == {STEADY} for sound in sounds)


def test_the_level_is_the_one_asked_for() -> None:
    # A microphone's floor is added at most 35 dB below.
    levels_db = [20 * np.log10(rms(compose(seed, STEADY).samples)) for seed in range(10)]
    np.testing.assert_allclose(levels_db, -20, atol=0.3)


def test_two_sources_differ_by_their_gains() -> None:
    ratios = []
    for seed in range(40):
        wish = SoundWish(onset=0, late_onset=0, stopping=0, stopped=0, ambience=0, strength=0, gain_db=6)
        rng = np.random.default_rng(seed)
        spans = {STEADY: [(-1.0, 2.0)], BURSTS: [(-1.0, 2.0)]}
        mixed = compose_line(two_voices(), rng, spans=spans, samples=2 * RATE_HZ, wish=wish)
        power = np.abs(np.fft.rfft(mixed.samples)) ** 2
        ratios.append(10 * np.log10(power[800:1200].sum() / power[3500:4500].sum()))
    assert np.std(ratios) > 3


def test_short_recordings_are_repeated() -> None:
    blip = np.zeros(RATE_HZ // 2, np.float32)
    blip[:1600] = 0.3
    short = Ingredients("train", {}, {"blip": (Recording("blip", "blip", "blip", blip),)})
    spans = {"blip": [(-1.0, 5.0)]}
    sound = compose_line(short, np.random.default_rng(0), spans=spans, samples=5 * RATE_HZ, wish=PLAIN)
    starts = np.count_nonzero(np.diff(sound.loud["blip"].astype(int)) == 1)
    assert starts >= 4


def test_unknown_classes_are_named_with_the_known_ones() -> None:
    with pytest.raises(DataRejected, match="no recordings of unicorn in split train; known: bursts, steady"):
        compose(0, "unicorn")


def test_another_rate_than_the_ingredients_is_misuse() -> None:
    with pytest.raises(ValueError, match="16000 Hz"):
        compose_sound(two_voices(), np.random.default_rng(0), classes=[STEADY], rate_hz=48_000)
