import json
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.stream.cli import COMMANDS, main, run_parser, settings_of
from cavs.stream.settings import StreamSettings


def test_every_setting_can_be_given_as_a_flag() -> None:
    flags = {action.dest for action in run_parser()._actions}
    assert set(StreamSettings.model_fields) <= flags


def test_every_command_beside_the_stream_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as left:
            main([command, "--help"])
        assert left.value.code == 0
        assert f"cavs-stream {command}" in capsys.readouterr().out


def test_flags_win_over_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"demo": True, "threads": 4, "bind": "ipc:///tmp/cavs-a"}))
    settings = settings_of(run_parser().parse_args(["--config", str(path), "--threads", "1"]))
    assert (settings.demo, settings.threads, settings.bind) == (True, 1, "ipc:///tmp/cavs-a")


def test_the_printed_settings_are_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--source", "a.mp4", "--fast", "--print-config"]) == 0
    assert StreamSettings.model_validate_json(capsys.readouterr().out) == StreamSettings(source="a.mp4", rate="fast")


def test_without_a_word_it_shows_its_help_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--camera" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--no-such-flag", "--demo"], "unrecognized arguments: --no-such-flag"),
        (["--demo", "--camera", "0"], "exactly one of --camera, --source, --demo expected"),
        (["--threads", "many", "--demo"], "argument --threads: invalid int value: 'many'"),
        (["--sound-threshold", "1", "--demo"], "setting sound_threshold: Input should be less than 1, seen 1.0"),
        (["watch", "--seconds", "0"], "--seconds and --count take a number above 0"),
    ],
)
def test_wrong_use_is_one_line_and_ends_with_2(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(argv)
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("content", [None, b"", b"this is a letter, not a film\n" * 50], ids=["missing", "empty", "text"])
def test_a_source_that_is_no_video_is_one_line_and_exit_1(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_bundle: Bundle
) -> None:
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    argv = ["--source", str(path), "--bundle", str(tiny_bundle.root), "--bind", f"ipc://{tmp_path}/wire", "--quiet"]
    assert main(argv) == 1
    err = capsys.readouterr().err
    assert "film.mp4" in err
    assert err.count("\n") == 1


def test_a_bundle_that_is_none_is_one_line_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--demo", "--bundle", str(tmp_path), "--quiet"]) == 1
    err = capsys.readouterr().err
    assert "manifest.json" in err
    assert err.count("\n") == 1


def test_a_report_that_cannot_be_written_is_said_before_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--demo", "--report", str(tmp_path / "no" / "r.json"), "--quiet"]) == 1
    assert "--report" in capsys.readouterr().err
