"""The procedural set: it can be seen and heard, differs from piece to piece, and keeps its splits apart."""

import pickle
from itertools import combinations

import numpy as np
import pytest

from cavs.adapt.data.drawn import PAINTERS, draw
from cavs.adapt.data.ingredients import SPLITS, Ingredients
from cavs.adapt.data.places import PLACES, draw_place
from cavs.adapt.data.procedural import CLASSES, LARGEST_PX, OFFSCREEN_CLASS, SMALLEST_PX, procedural_ingredients
from cavs.adapt.data.synthesised import SURROUNDINGS, VOICES, synthesise, synthesise_surroundings

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def sets() -> dict[str, Ingredients]:
    return {split: procedural_ingredients(split, per_class=3, sounds_per_class=3, places=4) for split in SPLITS}


def test_every_class_can_be_seen_and_heard(sets: dict[str, Ingredients]) -> None:
    for part in sets.values():
        assert part.classes_with_both() == tuple(sorted(CLASSES))
        assert part.classes_only_heard() == (OFFSCREEN_CLASS,)
        assert part.classes_only_seen() == ()
        assert all(len(some) == 3 for some in (*part.cutouts.values(), *part.recordings.values()))
        assert len(part.backgrounds) == 4


def test_no_piece_is_in_two_splits(sets: dict[str, Ingredients]) -> None:
    for one, other in combinations(sets.values(), 2):
        assert not _groups(one) & _groups(other)
        for name in CLASSES:
            for a, b in zip(one.cutouts[name], other.cutouts[name], strict=True):
                assert not np.array_equal(a.rgba, b.rgba)
            for x, y in zip(one.recordings[name], other.recordings[name], strict=True):
                assert not np.array_equal(x.samples, y.samples)


def test_the_same_seed_gives_the_same_set_and_another_seed_another(sets: dict[str, Ingredients]) -> None:
    again = procedural_ingredients("val", per_class=3, sounds_per_class=3, places=4)
    other = procedural_ingredients("val", per_class=1, sounds_per_class=1, places=1, seed=1)
    for name in CLASSES:
        first = sets["val"].cutouts[name][0].rgba
        assert np.array_equal(first, again.cutouts[name][0].rgba)
        assert not np.array_equal(first, other.cutouts[name][0].rgba)
        assert np.array_equal(sets["val"].recordings[name][2].samples, again.recordings[name][2].samples)
    assert np.array_equal(sets["val"].backgrounds[3].pixels, again.backgrounds[3].pixels)


def test_pieces_are_made_when_they_are_first_used_and_survive_the_way_to_another_process() -> None:
    cutout = procedural_ingredients("train", per_class=1000, sounds_per_class=1000, places=1000).cutouts["drone"][999]
    assert "rgba" not in vars(cutout)
    sent = pickle.loads(pickle.dumps(cutout))
    assert np.array_equal(sent.rgba, cutout.rgba)
    assert cutout.rgba is cutout.rgba


def test_every_recording_is_sound_for_a_good_part_of_its_length(sets: dict[str, Ingredients]) -> None:
    for some in sets["train"].recordings.values():
        for recording in some:
            assert recording.samples.dtype == np.float32
            assert np.isfinite(recording.samples).all()
            assert np.abs(recording.samples).max() == pytest.approx(0.7, abs=1e-3)
            assert recording.loud.mean() > 0.15, recording.id


@pytest.mark.parametrize("name", PAINTERS)
def test_a_drawing_fills_its_frame_and_has_a_solid_body_with_soft_edges(name: str) -> None:
    for seed in range(4):
        rgba = draw(name, np.random.default_rng(seed), 160)
        assert rgba.dtype == np.uint8
        assert max(rgba.shape[:2]) == 160
        assert rgba.shape[2] == 4
        alpha = rgba[..., 3]
        assert 0.15 < (alpha > 127).mean() < 0.95
        assert ((alpha > 8) & (alpha < 247)).any(), "no anti-aliased edge"
        assert rgba[..., :3][alpha > 127].std() > 20, "a flat silhouette"


def test_cutouts_come_in_the_sizes_promised(sets: dict[str, Ingredients]) -> None:
    sides = [max(c.rgba.shape[:2]) for some in sets["train"].cutouts.values() for c in some]
    assert min(sides) >= SMALLEST_PX
    assert max(sides) <= LARGEST_PX


@pytest.mark.parametrize("name", VOICES)
def test_a_sound_has_the_length_asked_for_and_never_repeats(name: str) -> None:
    one, other = (synthesise(name, np.random.default_rng(seed), 1.5, RATE_HZ) for seed in (0, 1))
    assert len(one) == len(other) == 24_000
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.3


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("name", [*VOICES, *SURROUNDINGS])
def test_every_sound_can_be_made_at_every_rate(name: str, rate_hz: int) -> None:
    make = synthesise if name in VOICES else synthesise_surroundings
    samples = make(name, np.random.default_rng(3), 0.7, rate_hz)
    assert len(samples) == round(0.7 * rate_hz)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() == pytest.approx(0.7, abs=1e-3)


def test_the_classes_differ_in_their_spectra() -> None:
    """A nearest-centroid guess on coarse spectra is right far more often than by chance."""
    spectra = {name: np.stack([_bands(name, seed) for seed in range(8)]) for name in VOICES}
    centroids = {name: some[:4].mean(axis=0) for name, some in spectra.items()}
    right = [
        min(centroids, key=lambda c: float(np.square(centroids[c] - bands).sum())) == name
        for name, some in spectra.items()
        for bands in some[4:]
    ]
    assert np.mean(right) >= 0.6


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_has_the_size_asked_for_and_something_in_it(kind: str) -> None:
    picture = draw_place(kind, np.random.default_rng(1), 161, 90)
    assert picture.shape == (90, 161, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 4


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no drawn class 'cat'; known: kettle, hand_bell"):
        draw("cat", rng, 64)
    with pytest.raises(ValueError, match="no synthesised class 'cat'; known: kettle"):
        synthesise("cat", rng, 1, RATE_HZ)
    with pytest.raises(ValueError, match="no surroundings 'sea'; known: room"):
        synthesise_surroundings("sea", rng, 1, RATE_HZ)
    with pytest.raises(ValueError, match="no place 'moon'; known: room"):
        draw_place("moon", rng, 8, 8)
    with pytest.raises(ValueError, match="split 'dev'; expected one of train, val, test"):
        procedural_ingredients("dev")  # type: ignore[arg-type]


def _groups(part: Ingredients) -> set[str]:
    groups = {cutout.group for some in part.cutouts.values() for cutout in some}
    groups |= {recording.group for some in part.recordings.values() for recording in some}
    return groups | {place.group for place in part.backgrounds}


def _bands(name: str, seed: int) -> np.ndarray:
    samples = synthesise(name, np.random.default_rng([seed, 7]), 2.0, RATE_HZ)
    power = np.square(np.abs(np.fft.rfft(samples.reshape(-1, 400), axis=1)))
    bands = np.add.reduceat(power, np.arange(0, 200, 8), axis=1)
    level = 10 * np.log10(bands + 1e-6)
    return np.concatenate([level.mean(axis=0), level.std(axis=0)])
