"""The command `cavs-models`: looks into a model store and changes which model is current."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cavs.runtime import fleet_cli
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.command import EXIT_OK, EXIT_WORLD, CommandParser, number_from_1, output_console, print_json, run_command, say
from cavs.runtime.fleet_cli import Command
from cavs.runtime.store import KEEP_VERSIONS, ModelStore, default_store_path
from cavs.runtime.store_read import StoredModel, VersionLine

ID_CHARS = 12


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 for what the world did wrong (argparse itself exits with 2)."""
    args = _parser().parse_args(argv)
    command: Command = args.command
    return run_command("cavs-models", lambda: command(ModelStore(args.store), args, output_console()), debug=args.debug)


def _parser() -> argparse.ArgumentParser:
    shared = CommandParser(add_help=False)
    shared.add_argument(
        "--store", type=Path, default=default_store_path(), metavar="PATH", help="the model store (default: %(default)s)"
    )
    shared.add_argument("--json", action="store_true", help="print JSON instead of text")
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = CommandParser(prog="cavs-models", description="Which models a robot has and which one runs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, parents=[shared], help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    add("list", _list, "all versions, the current one marked")
    show = add("show", _show, "one version: bundle, classes, where it came from, scores")
    show.add_argument("version", type=number_from_1, metavar="N")
    use = add("use", _use, "make version N current; a running stream takes it between two windows")
    use.add_argument("version", type=number_from_1, metavar="N")
    add("rollback", _rollback, "make the version current that was so before")
    add("verify", _verify, "read everything and say what is damaged; exit code 1 if anything is")
    gc = add("gc", _gc, "remove old versions and bundles that none needs; never the current or the previous version")
    gc.add_argument(
        "--keep", type=number_from_1, default=KEEP_VERSIONS, metavar="K", help="newest versions to keep (default: %(default)s)"
    )
    bundle = add("add", _add, "add a bundle as a new version; makes the store if there is none")
    bundle.add_argument("bundle", type=Path, metavar="BUNDLE", help="directory of a bundle")
    bundle.add_argument("--use", action="store_true", help="make it current (the first one always is)")
    fleet_cli.add_commands(add)
    return parser


def _list(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    lines = store.history()
    if args.json:
        print_json([_line_as_json(line) for line in lines])
        return EXIT_OK
    table = Table(box=None, pad_edge=False)
    for title in ("", "version", "adapter", "bundle", "written", "state"):
        table.add_column(title, no_wrap=title != "state")
    for line in lines:
        state = f"quarantined: {line.quarantined}" if line.quarantined else line.problem or "ok"
        table.add_row(
            "*" if line.current else "",
            str(line.version),
            (line.adapter_id or "-")[:ID_CHARS],
            (line.bundle_id or "-")[:ID_CHARS],
            _written(line) or "-",
            escape(state),
        )
    console.print(table if lines else f"{store.path} has no version yet; add one with: cavs-models add BUNDLE")
    return EXIT_OK


def _show(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    model = store.load(args.version)
    shown = _model_as_json(model)
    if args.json:
        print_json(shown)
        return EXIT_OK
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in shown.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(key.replace("_", " "), escape(text))
    console.print(table)
    return EXIT_OK


def _use(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    store.use(args.version)
    return _say(console, args, f"version {args.version} is current", {"current": args.version})


def _rollback(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    version = store.rollback()
    return _say(console, args, f"version {version} is current again", {"current": version})


def _verify(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    findings = store.verify()
    if args.json:
        print_json({"damaged": [{"path": str(found.path), "text": found.text} for found in findings]})
    elif findings:
        for found in findings:
            print(f"cavs-models: {found.text}", file=sys.stderr)
    else:
        console.print(f"{len(store.versions())} versions, all sound")
    return EXIT_WORLD if findings else EXIT_OK


def _gc(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    swept = store.gc(args.keep)
    text = f"removed {len(swept.versions)} versions and {len(swept.bundles)} bundles"
    return _say(console, args, text, {"versions": list(swept.versions), "bundles": list(swept.bundles)})


def _add(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    bundle_id = store.add_bundle(args.bundle)
    current = args.use or store.pointer() is None
    version = store.commit(None, bundle_id, make_current=current)
    text = "it is current" if current else f"make it current with: cavs-models use {version}"
    return _say(
        console,
        args,
        f"bundle {bundle_id[:ID_CHARS]} is version {version}; {text}",
        {"version": version, "bundle": bundle_id, "is_current": current},
    )


def _say(console: Console, args: argparse.Namespace, text: str, facts: dict[str, JsonValue]) -> int:
    say(console, text, facts, as_json=args.json)
    return EXIT_OK


def _line_as_json(line: VersionLine) -> JsonValue:
    fields: dict[str, JsonValue] = asdict(line)
    del fields["written_ns"]
    return {**fields, "written": _written(line)}


def _written(line: VersionLine) -> str | None:
    if not line.written_ns:
        return None
    return datetime.fromtimestamp(line.written_ns / NS_PER_S, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def _model_as_json(model: StoredModel) -> dict[str, JsonValue]:
    bundle, adapter = model.bundle.manifest, model.adapter.manifest
    return {
        "version": model.version,
        "bundle": bundle.id,
        "bundle_name": bundle.name,
        "adapter": adapter.id,
        "parent": adapter.parent or "none",
        "method": adapter.method,
        "classes": {name: row for row, name in adapter.classes},
        "class_capacity": bundle.adapter.class_capacity,
        "frame": f"{bundle.frame.width_px}x{bundle.frame.height_px} px",
        "sound": f"{bundle.sound.samples} samples at {bundle.sound.rate_hz} Hz",
        "data_ids": list(adapter.data_ids),
        "scores": adapter.scores,
    }


if __name__ == "__main__":
    sys.exit(main())
