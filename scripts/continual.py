#!/usr/bin/env python3
"""Methods compared on composed data: composes it, trains the network they start from, runs the grid. A second call goes on.

    scripts/continual.py data    --ingredients DIR --out DIR       single.* for CIS-like, mixed.* for CI-, paired.* for CIM-like
    scripts/continual.py network --ingredients DIR --visual-weights FILE --audio-weights FILE --out DIR
    scripts/continual.py GROUP ... --out DIR                       single, mixed, entangled, ablation
    scripts/continual.py tables  --out DIR                         records to docs/continual, tables to docs/continual.md

`network` is a small form of the shipped network, trained by `cavs-adapt train` on the classes of the first task alone: no
picture and no sound of a later class is in its ingredients (of the generated set, `procedural`, later classes lie about
unlabelled).
With --classes and --ingredients procedural the same runs on what is drawn and synthesised, with --protocol to fit.
docs/continual.md says what came out.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.argv[0] = "cavs-adapt"

CLASSES = "bird,cat,clock,cow,dog,drum,guitar,helicopter,person,piano,rooster,trumpet"
PAIRS = (
    ("drum", "guitar"), ("dog", "cow"), ("piano", "person"), ("clock", "cat"), ("trumpet", "bird"), ("helicopter", "rooster"),
)  # fmt: skip
"""Of an earlier and a later task each. They sound together or lie about silently with this chance, others with that."""
TOGETHER, BY_CHANCE = 0.7, 0.05
SIZE_PX = 96
SETS = {  # name: split, clips, seed
    "mixed.train": ("train", 1000, 1),
    "mixed.test": ("test", 300, 2),
    "mixed.val": ("val", 150, 3),
    "paired.train": ("train", 660, 4),
    "paired.test": ("test", 220, 5),
    "paired.val": ("val", 110, 9),
    "single.train": ("train", 500, 6),
    "single.test": ("test", 150, 7),
    "single.val": ("val", 100, 8),
}
SOURCES = {"paired": ("--sources", "0", "0.8", "0.2"), "single": ("--sources", "1", "--seconds", "10")}
"""Ten seconds have ten annotated frames; of five with one source, AVSS annotates one."""
DATA = {"ci": "mixed", "cis": "single", "cim": "paired"}
NARROW = {"stride4": 32, "stride8": 32, "stride16": 64, "stride32": 64, "token_width": 64, "token_layers": 1}
"""The shipped network's form in small."""
STEPS = "2400"
TRAINING = (
    "pairing.scenes=10", "pairing.own_sounds=1", "pairing.borrowed_sounds=1", "pairing.quiet_sounds=2", "pairing.real_scenes=0",
    "threads=1", "loaders=0", f"score_every={STEPS}", "score_scenes=40", "keep_every=400",
)  # fmt: skip
"""Of the first task's network. No photographs of whole scenes: they show later classes."""
RANK, RANKS = 8, (2, 4, 16)
MAIN, UNTOUCHED = f"rank{RANK}", "untouched"
RECIPE = ("--head", "lean", "--common", "10", "--epochs", "1", "6", "--batch", "16", "--rate", "3e-3")
SEEDS = ("0", "1", "2")
PER_CLASS = 5
MEMORY = PER_CLASS * 12

Options = Mapping[str, object]
KEPT: Options = {"memory": MEMORY}
NO_OVERLAP: Options = {"overlap": 0, "old_overlap": 0}
BOTH: Options = {"exchange": True, "overlap": 0.3}
"""What `cavs` and `lra` have beside their losses, for joint training."""
TABLE: tuple[tuple[str, Options], ...] = (  # what matters most comes first
    ("cavs", {}), ("mib", {}), ("lra", {}), ("joint", {}), ("fine-tuning", {}), ("er", KEPT), ("cmr", {}), ("der++", KEPT),
    ("lwf", {}), ("plop", {}), ("joint", BOTH), ("ssul-m", KEPT), ("av-cil", KEPT), ("cross-sdc", KEPT), ("ewf-mib", {}),
    ("ilt", {}), ("ewc", {}), ("ssul", {}), ("lwf-mc", {}), ("pi", {}), ("rw", {}), ("mas", {}), ("o-lora", {}),
    ("inf-lora", {}), ("ewf-plop", {}), ("lra-delta", {}), ("cmr-reference", {}),
)  # fmt: skip
NO_CSR: tuple[tuple[str, Options], ...] = (("cavs", {"extra": 0}), ("cmr", {"extra": 0}))
"""Where classes are entangled, CSR is what should help."""
CLIPS: tuple[tuple[str, Options], ...] = (
    ("cavs", {"criterion": "abs_min"}), ("cavs", {"criterion": "max"}), *(("cavs", {"per_class": n}) for n in (1, 2, 10, 20)),
)  # fmt: skip
"""Which clips are kept, and how many of each class."""
WITHOUT: tuple[tuple[str, Options], ...] = (("cavs", {"strength": 0}), ("cavs", {"exchange": False}), ("cavs", NO_OVERLAP))
ABLATION: tuple[tuple[str, Options], ...] = (
    *CLIPS, ("cavs", {"extra": 0}), *WITHOUT,
    ("lra", {"strength": 0}), ("lra", {"exchange": False}), ("lra", NO_OVERLAP),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=tuple(PARTS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ingredients", default="procedural")
    parser.add_argument("--classes", default=CLASSES)
    parser.add_argument("--protocol", default="6-3", metavar="BASE-STEP")
    parser.add_argument("--visual-weights", type=Path)
    parser.add_argument("--audio-weights", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for what in args.what:
        PARTS[what](args)


def compose(args: argparse.Namespace) -> None:
    """All sets that are not there yet."""
    classes = args.classes.split(",")
    chance = {one: {other: BY_CHANCE for other in classes if other != one} for one in classes}
    for one, other in PAIRS:
        if one in chance and other in chance:
            chance[one][other] = chance[other][one] = TOGETHER
    matrix = args.out / "entangled.json"
    matrix.write_text(json.dumps(chance, indent=1))
    for name, (split, clips, seed) in SETS.items():
        if not (args.out / name).exists():
            said = ["--split", split, "--clips", str(clips), "--seed", str(seed), "--out", str(args.out / name)]
            kind = name.split(".")[0]
            entangled = ["--cooccurrence", str(matrix)] if kind == "paired" else []
            size = ["--size", "128", "--classes", args.classes]
            call("data", "compose", "--ingredients", args.ingredients, *size, *said, *SOURCES.get(kind, ()), *entangled)


def train_networks(args: argparse.Namespace) -> None:
    """The first task's network, the same with LoRA pairs of other ranks (fresh pairs change nothing), and one whose encoders
    were not trained further."""
    from cavs.adapt.bench.cl_avs import class_order
    from cavs.adapt.bench.named_protocols import ORDER_SEED
    from cavs.adapt.model.checkpoint import load_checkpoint, save_checkpoint
    from cavs.adapt.model.config import NetworkConfig
    from cavs.adapt.model.lora import attach_lora
    from cavs.adapt.model.network import build_network

    classes, count = class_order(args.classes.split(","), ORDER_SEED), int(args.protocol.split("-")[0])
    first, later = classes[:count], classes[count:]
    hidden = [glob for name in later for glob in (f"*images/{name}/*", f"*audio/{name}/*")]
    excluded = [word for glob in (*hidden, "*scenes/*") for word in ("--exclude", glob)]
    form = {"frame_height_px": SIZE_PX, "frame_width_px": SIZE_PX, "lora_rank": RANK, **NARROW}
    weights = [f"{sense}_weights={file}" for sense in ("visual", "audio") if (file := getattr(args, f"{sense}_weights"))]
    told = ["--set", f"network={json.dumps(form)}", *weights, *TRAINING]
    names = ["--classes", ",".join(first), "--steps", STEPS, "--out", str(args.out / "base")]
    call("train", "--ingredients", args.ingredients, *excluded, *names, *told)
    trained = load_checkpoint(args.out / "base" / "network.safetensors")
    network = trained.network
    for rank in (RANK, *RANKS):
        attach_lora(network, rank)
        network.config = network.config.model_copy(update={"lora_rank": rank})
        save_checkpoint(network, network_file(args.out, f"rank{rank}"), trained.notes)
    untouched = build_network(NetworkConfig.model_validate(form), args.visual_weights, args.audio_weights)
    save_checkpoint(untouched, network_file(args.out, UNTOUCHED), {})


def network_file(out: Path, name: str) -> Path:
    return out / f"network-{name}.safetensors"


def bench(args: argparse.Namespace, scenario: str, runs: Iterable[tuple[str, Options]], *more: str, start: str = MAIN) -> None:
    """Runs of all seeds that are not finished."""
    data = [str(args.out / name) for name in SETS if name.startswith(DATA[scenario])]
    protocol = f"{scenario}-{args.protocol}"
    for method, options in runs:
        chosen = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()]
        out = args.out / "runs" / "-".join([start if start != MAIN else "main", *(word.strip("-") for word in more)])
        label = ",".join([method, *chosen])
        if all((out / f"{protocol}-overlapped" / label / seed / "run.json").exists() for seed in SEEDS):
            continue
        names = ["--protocol", protocol, "--method", method, *(["--set", *chosen] if chosen else [])]
        network = ["--network", str(network_file(args.out, start))]
        call("bench", *names, "--seeds", *SEEDS, "--data", *data, *network, *RECIPE, *more, "--out", str(out))


def single(args: argparse.Namespace) -> None:
    bench(args, "cis", TABLE)


def mixed(args: argparse.Namespace) -> None:
    bench(args, "ci", TABLE)


def entangled(args: argparse.Namespace) -> None:
    bench(args, "cim", TABLE[:1])
    bench(args, "cim", NO_CSR)
    bench(args, "cim", TABLE[1:])
    bench(args, "cim", (*CLIPS, *WITHOUT))


def ablation(args: argparse.Namespace) -> None:
    bench(args, "cis", ABLATION)
    bench(args, "cis", [("cavs", {})], "--no-conditioning")
    for start in (UNTOUCHED, *(f"rank{rank}" for rank in RANKS)):
        bench(args, "cis", [("cavs", {})], start=start)


def tables(args: argparse.Namespace) -> None:
    """The records of all runs beside the page, those with another recipe in files of their own; and the page's tables."""
    import continual_tables
    import page_tables

    from cavs.adapt.bench.report import collect

    for folder in sorted(one for one in (args.out / "runs").iterdir() if any(one.rglob("run.json"))):
        name = "continual" if folder.name == "main" else folder.name
        collect(folder, continual_tables.RECORDS / f"{name}.runs.jsonl")
    continual_tables.PAGE.write_text(page_tables.fill(continual_tables.PAGE.read_text(), continual_tables.TABLES))


def call(*words: str) -> None:
    """One command of cavs-adapt, in this process. SystemExit if it fails."""
    from cavs.adapt.cli import main as cavs_adapt

    print("cavs-adapt", *words, flush=True)
    if cavs_adapt(list(words)):
        raise SystemExit(1)


PARTS = {
    "data": compose, "network": train_networks, "single": single, "mixed": mixed, "entangled": entangled, "ablation": ablation,
    "tables": tables,
}  # fmt: skip

if __name__ == "__main__":
    main()
