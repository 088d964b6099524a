"""What cannot be opened is refused with one line that says what was seen."""

from pathlib import Path

import pytest

from cavs.runtime.errors import MediaLost
from cavs.stream.media_open import open_media, place_of
from tests.stream.clips import Clip, write_clip


def refusal(path: Path | str) -> str:
    with pytest.raises(MediaLost) as caught:
        open_media(place_of(str(path)))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "nothing.mp4: no such file" in refusal(tmp_path / "nothing.mp4")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty.mp4: an empty file (0 bytes) seen" in refusal(tmp_path / "empty.mp4")


def test_a_directory(tmp_path: Path) -> None:
    assert "a directory seen" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "notes"])
def test_a_text_file_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Dear diary,\nthis is not a video.\n" * 50)
    text = refusal(tmp_path / name)
    assert name in text
    assert "expected" in text


def test_noise(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(bytes(range(7, 256)) * 100)
    assert "noise.mp4: not a video" in refusal(tmp_path / "noise.mp4")


def test_an_mp4_without_its_index(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4")
    (tmp_path / "torn.mp4").write_bytes(whole.read_bytes()[:2000])
    assert "torn.mp4: not a video that FFmpeg can read" in refusal(tmp_path / "torn.mp4")


def test_sound_without_a_picture(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", Clip(sound_codec="flac"))
    song = tmp_path / "song.flac"
    _only_sound(clip, song)
    assert "song.flac: no picture, only audio" in refusal(song)


def test_a_scheme_that_is_not_known() -> None:
    assert "scheme 'gopher' is not known" in refusal("gopher://example.org/film")


def test_a_server_that_is_not_there() -> None:
    assert "connection refused" in refusal("http://127.0.0.1:9/film.mp4")


def test_a_file_url_is_a_file(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    opened = open_media(place_of(f"file://{path}"))
    assert opened.duration_ns == pytest.approx(1_000_000_000, abs=60_000_000)
    opened.container.close()


def test_a_name_with_a_colon_is_a_file(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "10:30.mp4")
    open_media(place_of(str(path))).container.close()


def test_a_password_is_not_in_the_label() -> None:
    assert place_of("rtsp://me:secret@10.0.0.7/live").label == "rtsp://10.0.0.7/live"


def _only_sound(clip: Path, out: Path) -> None:
    import av

    with av.open(str(clip)) as source, av.open(str(out), "w") as target:
        sound = source.streams.audio[0]
        copy = target.add_stream_from_template(sound)
        for packet in source.demux(sound):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
