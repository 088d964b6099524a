"""The commands of `cavs-models` that share models between robots."""

import argparse
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console

from cavs.runtime.clock import MonotonicClock
from cavs.runtime.command import EXIT_OK, EXIT_WORLD, number_from_1, say, terminated_like_interrupted
from cavs.runtime.fleet_follow import EVERY_S, Follower, Saying, said
from cavs.runtime.fleet_keys import default_keys_path, distrust, load_signing_key, load_trusted, make_signing_key, trust
from cavs.runtime.fleet_pull import Puller
from cavs.runtime.fleet_push import Pusher
from cavs.runtime.fleet_remote import Remote
from cavs.runtime.store import ModelStore

Command = Callable[[ModelStore, argparse.Namespace, Console], int]
AddCommand = Callable[[str, Command, str], argparse.ArgumentParser]

BYTES_PER_MIB = 1 << 20
REMOTE_HELP = "s3://BUCKET/PATH, gs://BUCKET/PATH, a shared folder, or any other place that fsspec knows"


def add_commands(add: AddCommand) -> None:
    """Adds push, pull, follow and the keys' commands."""
    push = add("push", _push, "sign a version and give it to all who follow REMOTE")
    push.add_argument("remote", metavar="REMOTE", help=REMOTE_HELP)
    push.add_argument("--version", type=number_from_1, metavar="N", help="default: the current one")
    push.add_argument("--again", action="store_true", help="write every file once more, also those that lie there")
    pull = add("pull", _pull, "take the newest trusted release of REMOTE once and make it current")
    pull.add_argument("remote", metavar="REMOTE", help=REMOTE_HELP)
    pull.add_argument("--anew", action="store_true", help="REMOTE was begun anew: forget how far its releases had come")
    follow = add("follow", _follow, "take every newer trusted release of REMOTE, until stopped")
    follow.add_argument("remote", metavar="REMOTE", help=REMOTE_HELP)
    follow.add_argument(
        "--every", type=_seconds, default=EVERY_S, metavar="S", help="seconds between two looks (default: %(default)g)"
    )
    keygen = add("keygen", _keygen, "make this machine's signing key")
    keygen.add_argument("--name", default=socket.gethostname(), help="name in the public key (default: %(default)s)")
    trusting = add("trust", _trust, "let the releases that a key signed count here; without KEY: show the trusted keys")
    trusting.add_argument("key", nargs="?", metavar="KEY", help="a .pub file, or its line")
    trusting.add_argument("--name", help="what to call it here (default: the name in the key)")
    distrusting = add("distrust", _distrust, "let a key's releases count no more; what was taken stays")
    distrusting.add_argument("name", metavar="NAME", help="as cavs-models trust shows it")
    for parser in (push, pull, follow, keygen, trusting, distrusting):
        parser.add_argument(
            "--keys", type=Path, default=default_keys_path(), metavar="DIR", help="the fleet's keys (default: %(default)s)"
        )


def _push(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    key, trusted = load_signing_key(args.keys), load_trusted(args.keys)
    pushed = Pusher(store, Remote(args.remote), key, trusted, MonotonicClock()).push(args.version, again=args.again)
    if pushed.is_new:
        text = (
            f"version {pushed.version} is release {pushed.number} of {args.remote}: {pushed.files_sent} files, "
            f"{pushed.bytes_sent / BYTES_PER_MIB:.1f} MiB sent"
        )
    else:
        text = f"version {pushed.version} is release {pushed.number} of {args.remote} already, the newest one"
    facts: dict[str, JsonValue] = {
        "release": pushed.number,
        "version": pushed.version,
        "is_new": pushed.is_new,
        "files_sent": pushed.files_sent,
        "bytes_sent": pushed.bytes_sent,
    }
    say(console, text, facts, as_json=args.json)
    return EXIT_OK


def _pull(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    """Exit code 1 if something was refused and nothing taken: a script must not go on as if all was well."""
    pulled = Puller(store, Remote(args.remote), args.keys, MonotonicClock()).pull(anew=args.anew)
    taken = pulled.taken
    text = said(taken) if taken else f"{args.remote} has no newer release that may be used"
    facts: dict[str, JsonValue] = {
        "release": taken.number if taken else None,
        "version": taken.version if taken else None,
        "signer": taken.signer if taken else None,
        "refused": list(pulled.refused),
    }
    say(console, text, facts, as_json=args.json)
    for reason in pulled.refused:
        print(f"cavs-models: refused: {reason}", file=sys.stderr)
    return EXIT_WORLD if pulled.refused and taken is None else EXIT_OK


def _follow(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    clock = MonotonicClock()
    follower = Follower(Puller(store, Remote(args.remote), args.keys, clock), clock, args.every)
    try:
        with terminated_like_interrupted():
            while True:
                for saying in follower.step():
                    _report(saying, args)
                follower.wait()
    except KeyboardInterrupt:
        return EXIT_OK


def _report(saying: Saying, args: argparse.Namespace) -> None:
    """One line a saying, at once: a supervisor's log shows it when it happens."""
    if args.json:
        taken = saying.taken
        facts = {"kind": saying.kind, "text": saying.text}
        more = {"release": taken.number, "version": taken.version, "signer": taken.signer} if taken else {}
        print(json.dumps({**facts, **more}, ensure_ascii=False), flush=True)
    else:
        print(f"{saying.kind}: {saying.text}", file=sys.stdout if saying.kind == "taken" else sys.stderr, flush=True)


def _keygen(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    line = make_signing_key(args.keys, args.name)
    text = f"{args.keys}: made; where this machine shall be trusted: cavs-models trust '{line}'"
    say(console, text, {"public": line, "keys": str(args.keys)}, as_json=args.json)
    return EXIT_OK


def _trust(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    if args.key is not None:
        key = trust(args.keys, args.key, args.name)
        say(console, f"{key.name} is trusted: {key.key_id}", {"name": key.name, "key_id": key.key_id}, as_json=args.json)
        return EXIT_OK
    keys = load_trusted(args.keys)
    text = "\n".join(f"{key.name}  {key.key_id}" for key in keys) or "no key is trusted; cavs-models trust KEY"
    say(console, text, [{"name": key.name, "key_id": key.key_id} for key in keys], as_json=args.json)
    return EXIT_OK


def _distrust(store: ModelStore, args: argparse.Namespace, console: Console) -> int:
    distrust(args.keys, args.name)
    say(console, f"{args.name} is trusted no more", {"distrusted": args.name}, as_json=args.json)
    return EXIT_OK


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 was expected, not {text!r}")
    return value
