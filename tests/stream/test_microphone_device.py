"""Which microphone is meant."""

import sys

import pytest

from cavs.runtime.errors import MicrophoneLost
from cavs.stream.microphone_device import Microphone, choose, start_portaudio

MICS = [
    Microphone(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)", "ALSA", 2, 48_000),
    Microphone(3, "USB Audio (hw:1,0)", "ALSA", 1, 44_100),
    Microphone(5, "USB Camera (hw:2,0)", "ALSA", 2, 16_000),
    Microphone(6, "pulse", "ALSA", 32, 44_100),
    Microphone(7, "pulse monitor", "ALSA", 32, 44_100),
]


def test_by_number() -> None:
    assert choose(MICS, "3", None).name == "USB Audio (hw:1,0)"


def test_by_part_of_the_name_in_any_case() -> None:
    assert choose(MICS, "intel", None).index == 0


def test_an_exact_name_wins_over_a_longer_one() -> None:
    assert choose(MICS, "pulse", None).index == 6


def test_by_default_the_systems_own() -> None:
    assert choose(MICS, None, 5).index == 5
    assert choose(MICS, None, None).index == 0


def test_two_that_fit_are_listed() -> None:
    with pytest.raises(MicrophoneLost, match=r"'usb': 2 fit, one expected; choose by number: 3 'USB Audio.*5 'USB Camera"):
        choose(MICS, "usb", None)


@pytest.mark.parametrize("wanted", ["4", "headset"])
def test_one_that_is_not_there_is_refused_with_those_that_are(wanted: str) -> None:
    with pytest.raises(MicrophoneLost, match=rf"'{wanted}': none fits; there are: 0 'HDA"):
        choose(MICS, wanted, None)


def test_no_microphone_at_all() -> None:
    with pytest.raises(MicrophoneLost, match=r"no microphone found; .* --mic none"):
        choose([], None, None)


def test_a_missing_pyaudio_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(MicrophoneLost, match=r"needs PyAudio .*pip install 'cavs-stream\[mic\]'; or --mic none"):
        start_portaudio()
