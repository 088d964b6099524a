"""`cavs-adapt serve`: its options."""

import argparse
import json
import os
from pathlib import Path

from pydantic import ValidationError

from cavs.runtime.control import control_address
from cavs.runtime.errors import ConfigError
from cavs.runtime.manifest import what_is_wrong

NONE = "none"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `serve` to cavs-adapt."""
    parser = subparsers.add_parser(
        "serve",
        help="learn beside a running stream",
        description="Learns what a stream is taught, tries each candidate, and makes it current in the store. One for each "
        "store; `cavs-stream --adapt` starts one itself.",
    )
    parser.add_argument("store", type=Path, metavar="STORE", help="model store that the stream follows")
    parser.add_argument(
        "--control", metavar="ADDRESS", help="control socket of the stream, or none (default: the one in the store)"
    )
    parser.add_argument("--listen", metavar="ADDRESS", help="where the stream publishes (default: the stream is asked)")
    parser.add_argument(
        "--keys", type=Path, metavar="DIR", help="client's keys made by cavs-stream keys, if the stream has keys"
    )
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="settings, as --print-config shows them; flags win")
    parser.add_argument("--anchors", type=Path, metavar="DIR", help="labelled clips that the gate tries candidates on as well")
    parser.add_argument("--memory-mib", type=float, metavar="MIB", help="what the rehearsal memory may hold")
    parser.add_argument("--memory-days", type=float, metavar="DAYS", help="how long anything stays in it")
    parser.add_argument("--budget-ms", type=float, metavar="MS", help="p99 of the stream above which the learner stands still")
    parser.add_argument("--on-battery", action="store_true", help="learn on battery too")
    parser.add_argument("--no-questions", action="store_true", help="do not ask for the names of unknown things")
    parser.add_argument("--print-config", action="store_true", help="print the settings as JSON and stop")
    parser.add_argument("--quiet", action="store_true", help="say nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """What `cavs-adapt serve` does with its options."""
    # Before torch and numpy are imported: their threads would take the stream's cores.
    from cavs.adapt.serve.yielding import threads_for_learning

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(threads_for_learning()))
    # Two threads, the other core taken: the one that runs would spin at every barrier for one that may not (15 times slower).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from cavs.adapt.serve.options import ServeOptions
    from cavs.adapt.serve.process import serve
    from cavs.adapt.serve.school import School

    try:
        options = ServeOptions.model_validate(_values(args))
    except ValidationError as error:
        raise ConfigError(f"settings of the learner: {what_is_wrong(error)}") from None
    if args.print_config:
        print(options.model_dump_json(indent=2))
        return 0
    control = None if args.control == NONE else args.control or control_address(args.store)

    def school() -> School:
        from cavs.adapt.serve.torch_school import TorchSchool  # takes seconds: after the lock is held

        return TorchSchool()

    return serve(args.store, school, options, control=control, listen=args.listen, keys=args.keys, quiet=args.quiet)


def _values(args: argparse.Namespace) -> dict[str, object]:
    """The settings file, and flags over it."""
    values: dict[str, object] = {}
    if args.config is not None:
        try:
            values = json.loads(args.config.read_text())
        except OSError as error:
            raise ConfigError(f"settings file {args.config}: {error.strerror}; write one with --print-config") from None
        except ValueError as error:
            raise ConfigError(f"settings file {args.config}: not JSON ({error}); write one with --print-config") from None
        if not isinstance(values, dict):
            raise ConfigError(f"settings file {args.config}: a JSON object expected, {type(values).__name__} seen")
    for name, value in (("anchors", args.anchors), ("memory_mib", args.memory_mib), ("memory_days", args.memory_days)):
        if value is not None:
            values[name] = value
    give_way = dict(values.get("give_way") or {})  # type: ignore[call-overload]
    if args.budget_ms is not None:
        give_way["p99_ms"] = args.budget_ms
    if args.on_battery:
        give_way["on_battery"] = True
    if give_way:
        values["give_way"] = give_way
    if args.no_questions:
        values["ask_names"] = False
    return values
