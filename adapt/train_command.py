"""`cavs-adapt train`: settings from a file and from options, then the training."""

import argparse
import json
from pathlib import Path

from cavs.adapt.evaluate_command import names
from cavs.adapt.train_config import TrainConfig, parse_config
from cavs.runtime.errors import ConfigError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `train` to cavs-adapt."""
    parser = subparsers.add_parser(
        "train",
        help="train a network",
        description="Trains a network, or goes on where a killed run in --out stopped. torchrun starts several.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="settings, as --print-config shows them")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="single settings, such as optimiser.head_rate=1e-3"
    )
    parser.add_argument("--ingredients", nargs="+", metavar="PATH", help="folders, or `procedural`")
    parser.add_argument("--exclude", action="append", metavar="GLOB", help="leave out files such as 'nc/*'")
    parser.add_argument("--classes", type=names, metavar="A,B", help="what may sound; the rows of the table, in this order")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--print-config", action="store_true", help="print the settings as JSON and stop")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the run; its network.safetensors is the result")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    config = config_of(args)
    if args.print_config:
        print(config.model_dump_json(indent=2))
        return 0
    if args.out is None or not config.ingredients:
        raise ConfigError(f"nothing to train: {'--out' if args.out is None else '--ingredients'} is missing")
    from cavs.adapt.train import train  # torch takes seconds to import, which the other commands need not wait for

    train(config, args.out)
    return 0


def config_of(args: argparse.Namespace) -> TrainConfig:
    """File first, then single settings, then the options of their own. Raises ConfigError."""
    values: dict[str, object] = {}
    if args.config is not None:
        try:
            values = json.loads(args.config.read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{args.config}: cannot be read as JSON ({error}); give what --print-config prints") from error
    for setting in args.set:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected KEY=VALUE, such as optimiser.head_rate=1e-3")
        _put(values, key.split("."), text)
    options = {name: getattr(args, name) for name in ("ingredients", "exclude", "classes", "steps", "seed")}
    return parse_config({**values, **{name: value for name, value in options.items() if value is not None}}, "settings")


def _put(values: dict[str, object], path: list[str], text: str) -> None:
    inner = values
    for part in path[:-1]:
        deeper = inner.setdefault(part, {})
        if not isinstance(deeper, dict):
            raise ConfigError(f"--set {'.'.join(path)}: {part} is no group of settings")
        inner = deeper
    try:
        inner[path[-1]] = json.loads(text)
    except ValueError:
        inner[path[-1]] = text
