"""What every command of ours does alike: how it ends, and how it says what it did."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape

from cavs.runtime.errors import CavsError

EXIT_OK, EXIT_WORLD, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; the world did something wrong; wrong use; Ctrl-C, as a shell counts it."""

PIPE_WIDTH = 10_000
"""Columns where there is no terminal: a line is never broken."""


class CommandParser(argparse.ArgumentParser):
    """Wrong use is one line, and exit code 2; argparse would print all flags before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; {self.prog} --help says what it takes\n")


def run_command(name: str, command: Callable[[], int], *, debug: bool) -> int:
    """Runs a command and returns its exit code; what the world did wrong is one line, with `debug` a traceback."""
    try:
        return command()
    except CavsError as error:
        if debug:
            raise
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_WORLD
    except BrokenPipeError:  # who read our output has gone; Python would complain again when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_WORLD
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt as Ctrl-C does. So does SIGINT where a shell had it ignored (`&`)."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def output_console() -> Console:
    """As wide as the terminal; in a pipe a line is never broken."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def say(console: Console, text: str, facts: JsonValue, *, as_json: bool) -> None:
    """One result, as a line of text or as JSON."""
    if as_json:
        print_json(facts)
    else:
        console.print(escape(text), soft_wrap=True)


def print_json(value: JsonValue) -> None:
    """Indented, for people and programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def number_from_1(text: str) -> int:
    """An argument that counts something."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 was expected, not {text!r}")
    return value
