"""Videos of composed clips: pictures, sound and truth stay together."""

from pathlib import Path

import av
import numpy as np
import pytest

from cavs.adapt.data.clip import Clip, compose_clip
from cavs.adapt.data.ingredients import RATE_HZ, Ingredients
from cavs.adapt.data.movie import write_movie
from cavs.runtime.errors import DataRejected


@pytest.fixture
def clip(few: Ingredients) -> Clip:
    return compose_clip(few, np.random.default_rng(3), seconds=2.0, fps=25.0, size=64)


def test_the_video_holds_the_clip(clip: Clip, tmp_path: Path) -> None:
    write_movie(tmp_path / "new" / "clip.mp4", clip)
    with av.open(str(tmp_path / "new" / "clip.mp4")) as container:
        pictures = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    with av.open(str(tmp_path / "new" / "clip.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert container.streams.audio[0].rate == RATE_HZ
    assert [time_s for time_s, _ in pictures] == pytest.approx(clip.times_s)
    for (_, picture), frame in zip(pictures, clip.frames, strict=True):
        assert np.abs(picture.astype(int) - frame).mean() < 12
    length = len(clip.sound)
    assert len(sound) >= length
    assert np.corrcoef(sound[:length], clip.sound)[0, 1] > 0.95  # any shift in time would break this


def test_the_truth_lies_beside_it(clip: Clip, tmp_path: Path) -> None:
    write_movie(tmp_path / "clip.mp4", clip)
    with np.load(tmp_path / "clip.truth.npz", allow_pickle=False) as truth:
        np.testing.assert_array_equal(truth["masks"], clip.masks)
        assert tuple(truth["class_names"].tolist()) == clip.class_names
        np.testing.assert_allclose(truth["times_s"], clip.times_s)


def test_an_odd_size_is_refused(few: Ingredients, tmp_path: Path) -> None:
    odd = compose_clip(few, np.random.default_rng(0), seconds=0.2, size=(48, 51))
    with pytest.raises(DataRejected, match=r"51 x 48; H\.264 needs even sides"):
        write_movie(tmp_path / "clip.mp4", odd)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_said_in_one_line(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").mkdir()
    with pytest.raises(DataRejected, match=r"clip\.mp4: no video could be written") as caught:
        write_movie(tmp_path / "clip.mp4", clip)
    assert "\n" not in str(caught.value)
