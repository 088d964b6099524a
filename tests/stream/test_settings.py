from pathlib import Path

import pytest

from cavs.runtime.errors import ConfigError
from cavs.stream.settings import StreamSettings, read_settings, settings_from


def test_what_is_printed_loads_back_equal(tmp_path: Path) -> None:
    settings = settings_from({"camera": "/dev/video0", "mic": "none", "threads": 1, "report": tmp_path / "r.json"})
    written = tmp_path / "settings.json"
    written.write_text(settings.to_json())
    assert settings_from(read_settings(written)) == settings


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'treads' is not known; known: .*threads"):
        settings_from({"demo": True, "treads": 2})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "exactly one of --camera, --source, --demo"),
        ({"demo": True, "camera": "0"}, "--camera and --demo given"),
        ({"demo": True, "mic": "usb"}, "--mic goes with --camera"),
        ({"camera": "0", "rate": "fast"}, "--realtime and --fast go with --source"),
        ({"source": "a.mp4", "loops": 2}, "--loops goes with --demo"),
        ({"demo": True, "bundle": "a", "store": "b"}, "one expected"),
        ({"demo": True, "bundle": "a", "adapt": True}, "--adapt learns in a store"),
        ({"demo": True, "control": "none", "adapt": True}, "--adapt needs the control socket"),
        ({"demo": True, "adapt": True, "sound_threshold": 0.5}, "versions of a --store bring their own"),
        ({"demo": True, "recent_seconds": 0}, "recent_seconds"),
        ({"demo": True, "store": "b", "sound_threshold": 0.5}, "versions of a --store bring their own"),
        ({"camera": "0", "fourcc": "äöüß"}, "four ASCII characters"),
        ({"demo": True, "threads": 0}, "setting threads"),
        ({"demo": True, "stream": "a b"}, "setting stream"),
    ],
)
def test_what_cannot_hold_is_said_in_one_line(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        settings_from(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1, 2]"])
def test_a_settings_file_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"settings\.json"):
        read_settings(path)


def test_a_missing_settings_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_settings(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("values", "comes_back"),
    [({"camera": "0"}, True), ({"source": "rtsp://robot/cam"}, True), ({"source": "a.mp4"}, False), ({"demo": True}, False)],
)
def test_devices_and_servers_come_back_files_do_not(values: dict[str, object], comes_back: bool) -> None:
    assert StreamSettings.model_validate(values).comes_back is comes_back


def test_adapt_without_a_store_learns_in_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert settings_from({"demo": True, "adapt": True}).model_store == tmp_path / "cavs" / "models"
    assert settings_from({"demo": True, "adapt": True, "store": tmp_path}).model_store == tmp_path
    assert settings_from({"demo": True}).model_store is None
