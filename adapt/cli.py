"""The command cavs-adapt: a table of commands, each of which adds its own options."""

import argparse
import sys
from collections.abc import Sequence

from cavs.adapt import evaluate_command, status_command, teach_command, train_command
from cavs.adapt.bench import bench_command
from cavs.adapt.data import check_command, compose_command, demo_command
from cavs.adapt.serve import lesson_commands, serve_command
from cavs.runtime.command import CommandParser, run_command

DATA_COMMANDS = (compose_command.add_parser, check_command.add_parser, demo_command.add_parser)
"""What stands behind `cavs-adapt data`."""
COMMANDS = (
    train_command.add_parser,
    evaluate_command.add_parser,
    bench_command.add_parser,
    serve_command.add_parser,
    teach_command.add_parser,
    status_command.add_parser,
    lesson_commands.add_learn,
    lesson_commands.add_forget,
    lesson_commands.add_memory,
)
"""What stands behind `cavs-adapt`, besides `data`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command: 0 when all went well, 1 for what the world did wrong, 2 for wrong use."""
    args = command_parser().parse_args(argv)
    return run_command("cavs-adapt", lambda: args.run(args), debug=args.debug)


def command_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    parser: argparse.ArgumentParser = CommandParser(prog="cavs-adapt", description="Makes data, trains, and keeps learning.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data = commands.add_parser("data", help="compose and check data", description="Compose and check data.")
    data_commands = data.add_subparsers(required=True, metavar="COMMAND")
    for add_parser in DATA_COMMANDS:
        add_parser(data_commands)
    for add_parser in COMMANDS:
        add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
