"""How our commands end."""

import argparse
import subprocess
import sys

import pytest

from cavs.runtime.command import number_from_1, run_command
from cavs.runtime.errors import StoreError


def fails() -> int:
    raise StoreError("no such store")


def interrupted() -> int:
    raise KeyboardInterrupt


def test_a_command_ends_with_its_own_code() -> None:
    assert run_command("x", lambda: 3, debug=False) == 3


def test_what_the_world_did_wrong_is_one_line_and_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("cavs-x", fails, debug=False) == 1
    assert capsys.readouterr() == ("", "cavs-x: no such store\n")


def test_debug_shows_where_it_happened() -> None:
    with pytest.raises(StoreError):
        run_command("x", fails, debug=True)


def test_a_mistake_of_ours_is_never_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command("x", lambda: 1 // 0, debug=False)


def test_ctrl_c_ends_as_a_shell_counts_it() -> None:
    assert run_command("x", interrupted, debug=False) == 130


def test_a_reader_who_went_away_is_no_traceback() -> None:
    code = "from cavs.runtime.command import run_command\nimport sys\n"
    code += "sys.exit(run_command('x', lambda: [print('y' * 1000) for _ in range(1000)] and 0, debug=False))"
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.readline()
    writer.stdout.close()
    assert (writer.stderr.read(), writer.wait(60)) == ("", 1)
    writer.stderr.close()


def test_counts_begin_at_1() -> None:
    assert number_from_1("12") == 12
    for text in ("0", "-1", "1.5", "x", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="a number from 1 was expected"):
            number_from_1(text)
