"""The list of cameras and microphones, also where there are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from cavs.stream.devices import CameraFound, MicrophoneFound, cameras, main, print_tables, probed_apart, sound_inputs


class ListedAudio:
    """A PyAudio that only lists."""

    def get_device_count(self) -> int:
        return 2

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        return {"name": ["Speakers", "USB Mic"][index], "maxInputChannels": index, "hostApi": 0, "defaultSampleRate": 44_100.0}

    def get_host_api_info_by_index(self, index: int) -> dict[str, Any]:
        return {"name": "ALSA"}

    def get_default_input_device_info(self) -> dict[str, Any]:
        raise OSError("No Default Input Device Available")


def fake_camera(sys_cameras: Path, node: str, name: str) -> None:
    (sys_cameras / node).mkdir(parents=True)
    (sys_cameras / node / "name").write_text(name + "\n")


def test_cameras_are_listed_in_order_with_the_name_that_survives_a_restart(tmp_path: Path) -> None:
    for node, name in (("video110", "Ten"), ("video102", "USB Camera")):
        fake_camera(tmp_path / "sys", node, name)
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (tmp_path / "video102").touch()
    (by_id / "usb-ACME-video-index0").symlink_to(tmp_path / "video102")
    found = cameras(tmp_path / "sys", by_id)
    assert [(camera.node, camera.name) for camera in found] == [("/dev/video102", "USB Camera"), ("/dev/video110", "Ten")]
    assert found[0].stable == str(by_id / "usb-ACME-video-index0")
    assert found[1].stable is None


def test_no_cameras_is_an_empty_list(tmp_path: Path) -> None:
    assert cameras(tmp_path / "sys", tmp_path / "by-id") == []


def test_only_inputs_are_microphones() -> None:
    assert sound_inputs(ListedAudio()) == [MicrophoneFound(1, "USB Mic", "ALSA", 1, 44_100, default=False)]


def test_the_tables_say_what_stamps_are_worth(capsys: pytest.CaptureFixture[str]) -> None:
    camera = CameraFound("/dev/video0", "Cam", None, ["cheese (pid 7)"], stamps="A", mode="640x480 at 30 fps, MJPG")
    print_tables([camera], [MicrophoneFound(3, "Mic", "ALSA", 2, 48_000, True, stamps="C")], None)
    printed = capsys.readouterr().out
    for word in ("/dev/video0", "cheese", "A: made", "C: the moment", "48000 Hz"):
        assert word in printed


def test_none_at_all_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables([], [], "a microphone needs PyAudio")
    printed = " ".join(capsys.readouterr().out.split())
    assert "Cameras: none" in printed
    assert "--demo" in printed
    assert "Microphones: none. a microphone needs PyAudio" in printed


def test_the_command_prints_json_that_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == {"cameras", "microphones", "no_sound"}


def driver(folder: Path, does: str) -> str:
    """An interpreter in whose place a probe runs: what the driver does to it."""
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o755)
    return str(script)


MIC = MicrophoneFound(3, "Mic", "ALSA", 2, 48_000, default=True)


@pytest.mark.parametrize(
    ("does", "trouble"),
    [("kill -SEGV $$", "its driver crashed (SIGSEGV); choose another"),
     ("exec sleep 20", "no answer for 0.5 s; its driver hangs"),
     ("echo no such thing >&2; exit 1", "no such thing"), ("exit 0", "the probe said nothing")],
)  # fmt: skip
def test_a_driver_that_crashes_or_hangs_takes_only_its_own_line(tmp_path: Path, does: str, trouble: str) -> None:
    probed = probed_apart(MIC, limit_s=0.5, python=driver(tmp_path, does))
    assert (probed.trouble, probed.stamps, probed.name) == (trouble, None, "Mic")


def test_a_device_that_is_not_there_is_probed_without_harm(tmp_path: Path) -> None:
    camera = probed_apart(CameraFound(str(tmp_path / "video9"), "Gone", None, []))
    assert camera.stamps is None
    assert "video9" in (camera.trouble or "")
