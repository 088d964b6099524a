"""Composed clips: the masks are who is seen and sounds now."""

import numpy as np
import pytest

from cavs.adapt.data.cast import ClipWish
from cavs.adapt.data.clip import Clip, annotated_moments, compose_clip
from cavs.adapt.data.ingredients import RATE_HZ, Ingredients
from cavs.adapt.data.sound import SoundWish
from cavs.adapt.data.stage import SMALLEST_SHARE
from cavs.runtime.errors import DataRejected

MOMENTS = annotated_moments(5)


def compose(few: Ingredients, seed: int, wish: ClipWish | None = None, **options: object) -> Clip:
    options = {"times_s": MOMENTS, "size": 64, **options}
    return compose_clip(few, np.random.default_rng(seed), wish=wish, **options)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_clip(few: Ingredients) -> None:
    one, two, other = compose(few, 1), compose(few, 1), compose(few, 2)
    for name in ("frames", "masks", "sound"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.visible == two.visible
    assert (one.frames != other.frames).any()


def test_single_frames_are_those_of_the_whole_clip(few: Ingredients) -> None:
    whole = compose(few, 5, times_s=None, seconds=3.0, fps=25.0)
    part = compose(few, 5, times_s=annotated_moments(3), seconds=3.0)
    assert whole.frames.shape == (75, 64, 64, 3)
    np.testing.assert_array_equal(whole.frames[24::25], part.frames)
    np.testing.assert_array_equal(whole.masks[24::25], part.masks)
    np.testing.assert_array_equal(whole.sound, part.sound)
    assert len(whole.sound) == 3 * RATE_HZ


def test_masks_hold_the_visible_pixels_of_what_sounds_and_nothing_else(few: Ingredients) -> None:
    for seed in range(12):
        clip = compose(few, seed, ClipWish(real_scenes=0.3))
        for mask, seen in zip(clip.masks, clip.visible, strict=True):
            for one in seen:
                value = 1 + clip.class_names.index(one.cls)
                assert np.count_nonzero(mask == value) == (one.pixels if one.sounding else 0)
            assert np.count_nonzero(mask) == sum(one.pixels for one in seen if one.sounding)


def test_a_clip_names_just_the_classes_in_its_masks(few: Ingredients) -> None:
    for seed in range(8):
        clip = compose(few, seed)
        values = sorted(set(np.unique(clip.masks).tolist()) - {0})
        assert clip.classes == tuple(clip.class_names[value - 1] for value in values)


def test_sources_are_seen_well_and_sound_sometime(few: Ingredients) -> None:
    for seed in range(12):
        clip = compose(few, seed, ClipWish(sources=(0, 0, 1.0), strength=0.5))
        assert len(clip.classes) >= 2  # one of three may be in the dark at the five moments that are kept
        middle = {one.cls: one.pixels for one in clip.visible[2]}
        assert all(middle.get(cls, 0) > 0.3 * SMALLEST_SHARE * 64 * 64 for cls in clip.classes)


def test_objects_fall_silent_and_sound_again(few: Ingredients) -> None:
    states: dict[int, set[bool]] = {}
    for seed in range(12):
        clip = compose(few, seed, ClipWish(switching=1.0, sources=(1.0,)))
        states[seed] = {one.sounding for seen in clip.visible for one in seen if one.cls in clip.classes}
    assert sum(state == {True, False} for state in states.values()) >= 8


def test_what_is_off_screen_is_heard_but_never_marked(few: Ingredients) -> None:
    found = 0
    for seed in range(10):
        wish = ClipWish(offscreen=1.0, distractors=(0, 0), sources=(1.0,), real_scenes=0)
        clip = compose(few, seed, wish)
        found += len(clip.offscreen)
        for cls in clip.offscreen:
            assert cls not in clip.classes
            assert not any(one.cls == cls for seen in clip.visible for one in seen)
    assert found == 10


def test_class_names_number_the_masks(few: Ingredients) -> None:
    cls = few.classes_with_both()[2]
    clip = compose(few, 0, ClipWish(targets=(cls,), offscreen=0), class_names=("unicorn", cls))
    assert set(np.unique(clip.masks).tolist()) == {0, 2}
    assert clip.classes == (cls,)


def test_frames_need_not_be_square(few: Ingredients) -> None:
    clip = compose(few, 0, size=(48, 96))
    assert clip.frames.shape == (5, 48, 96, 3)
    assert clip.masks.shape == (5, 48, 96)


def test_everything_used_is_named(few: Ingredients) -> None:
    clip = compose(few, 0, sound_wish=SoundWish(ambience=0))
    known = {one.id for some in few.cutouts.values() for one in some}
    known |= {one.id for some in few.recordings.values() for one in some}
    known |= {one.id for one in few.backgrounds + few.scenes} | {"painted"}
    assert set(clip.sources) <= known
    assert set(clip.sources) & {one.id for one in few.cutouts[clip.classes[0]]}


def test_more_than_fits_is_refused(few: Ingredients) -> None:
    crowd = ClipWish(sources=(0, 0, 0, 0, 1.0), real_scenes=0, distractors=(0, 0))
    with pytest.raises(DataRejected, match="no room in 24 shots"):
        compose_clip(few, np.random.default_rng(0), size=8, times_s=MOMENTS, wish=crowd)
