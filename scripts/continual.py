#!/usr/bin/env python3
"""Methods compared on composed data: composes it, makes the network, runs the grid. A second call goes on.

    scripts/continual.py data    --ingredients DIR --out DIR       single.* for CIS-like, paired.* for CIM-like
    scripts/continual.py network --visual-weights FILE --audio-weights FILE --out DIR
    scripts/continual.py GROUP ... --out DIR                       table, entangled, ablation
    scripts/continual.py tables  --out DIR

No table was made with it yet: the data of `data` proved too small (a network learned the first task to .82 class mIoU on
train, .08 on val), so more annotated frames are needed first. With --classes and --ingredients procedural the same runs on what
is drawn and synthesised, with --base and --step to fit.
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
    "single.train": ("train", 1000, 1),
    "single.test": ("test", 300, 2),
    "single.val": ("val", 150, 3),
    "paired.train": ("train", 330, 4),
    "paired.test": ("test", 110, 5),
}
PAIRED = ("--sources", "0", "0.8", "0.2")
NARROW = {"stride4": 16, "stride8": 32, "stride16": 64, "stride32": 64, "token_width": 64, "token_layers": 1}
"""The shipped network's form in small."""
RANK, RANKS = 8, (2, 4, 16)
RECIPE = ("--common", "20", "--epochs", "2", "8", "--batch", "16", "--rate", "2e-3", "--later-rate", "1e-3")
SEEDS = ("0", "1", "2")
PER_CLASS = 5
MEMORY = PER_CLASS * 12

Options = Mapping[str, object]
KEPT: Options = {"memory": MEMORY}
TABLE: tuple[tuple[str, Options], ...] = (
    ("fine-tuning", {}), ("joint", {}), ("cavs", {}), ("lra", {}),
    ("er", KEPT), ("der++", KEPT), ("av-cil", KEPT), ("cross-sdc", KEPT), ("ssul-m", KEPT), ("cmr", {}), ("cmr-reference", {}),
    ("mib", {}), ("plop", {}), ("ewf-mib", {}), ("ewf-plop", {}), ("ssul", {}), ("lwf", {}), ("lwf-mc", {}), ("ilt", {}),
    ("ewc", {}), ("pi", {}), ("rw", {}), ("mas", {}), ("o-lora", {}), ("inf-lora", {}), ("lra-delta", {}),
)  # fmt: skip
ENTANGLED: tuple[tuple[str, Options], ...] = (
    ("fine-tuning", {}), ("joint", {}), ("cavs", {}), ("cavs", {"extra": 0}), ("cmr", {}), ("cmr", {"extra": 0}),
    ("er", KEPT), ("der++", KEPT), ("av-cil", KEPT), ("cross-sdc", KEPT), ("ssul-m", KEPT), ("mib", {}), ("plop", {}),
    ("lra", {}),
)  # fmt: skip
ABLATION: tuple[tuple[str, Options], ...] = (
    ("cavs", {"criterion": "random"}), ("cavs", {"extra": 0}), ("cavs", {"strength": 0}),
    ("cavs", {"objective": "plain"}), ("cavs", {"distillation": 0}), ("cavs", {"balance": 0.2}),
    *(("cavs", {"per_class": count}) for count in (1, 2, 10, 20)),
    ("lra", {"objective": "plain"}),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=("data", "network", "table", "entangled", "ablation", "tables"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ingredients", default="procedural")
    parser.add_argument("--classes", default=CLASSES)
    parser.add_argument("--protocol", default="6-3", metavar="BASE-STEP")
    parser.add_argument("--visual-weights", type=Path)
    parser.add_argument("--audio-weights", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for what in args.what:
        STEPS[what](args)


def compose(args: argparse.Namespace) -> None:
    """All five sets that are not there yet."""
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
            entangled = [*PAIRED, "--cooccurrence", str(matrix)] if name.startswith("paired") else []
            size = ["--size", "128", "--classes", args.classes]
            call("data", "compose", "--ingredients", args.ingredients, *size, *said, *entangled)


def make_networks(args: argparse.Namespace) -> None:
    """Pretrained encoders and nothing learned behind them; one for each rank of LoRA."""
    import torch

    from cavs.adapt.model.checkpoint import save_checkpoint
    from cavs.adapt.model.config import NetworkConfig
    from cavs.adapt.model.network import build_network

    for rank in (RANK, *RANKS):
        torch.manual_seed(0)
        config = NetworkConfig(frame_height_px=SIZE_PX, frame_width_px=SIZE_PX, lora_rank=rank, **NARROW)
        network = build_network(config, args.visual_weights, args.audio_weights)
        save_checkpoint(network, network_file(args.out, rank), {"note": "pretrained encoders, nothing learned behind them"})


def network_file(out: Path, rank: int = RANK) -> Path:
    return out / f"network-rank{rank}.safetensors"


def bench(args: argparse.Namespace, scenario: str, runs: Iterable[tuple[str, Options]], *more: str, rank: int = RANK) -> None:
    """Runs of all seeds that are not finished."""
    kind = "paired" if scenario == "cim" else "single"
    data = [str(args.out / name) for name in SETS if name.startswith(kind)]
    protocol = f"{scenario}-{args.protocol}"
    for method, options in runs:
        chosen = [f"{name}={value}" for name, value in options.items()]
        out = args.out / "runs" / "-".join([f"rank{rank}" if rank != RANK else "main", *(word.strip("-") for word in more)])
        label = ",".join([method, *chosen])
        if all((out / f"{protocol}-overlapped" / label / seed / "run.json").exists() for seed in SEEDS):
            continue
        names = ["--protocol", protocol, "--method", method, *(["--set", *chosen] if chosen else [])]
        network = ["--network", str(network_file(args.out, rank))]
        call("bench", *names, "--seeds", *SEEDS, "--data", *data, *network, *RECIPE, *more, "--out", str(out))


def table(args: argparse.Namespace) -> None:
    bench(args, "cis", TABLE)


def entangled(args: argparse.Namespace) -> None:
    bench(args, "cim", ENTANGLED)


def ablation(args: argparse.Namespace) -> None:
    bench(args, "cis", ABLATION)
    bench(args, "cis", [("cavs", {})], "--no-conditioning")
    for rank in RANKS:
        bench(args, "cis", [("cavs", {}), ("lra", {})], rank=rank)


def tables(args: argparse.Namespace) -> None:
    call("bench", "report", str(args.out / "runs"))


def call(*words: str) -> None:
    """One command of cavs-adapt, in this process. SystemExit if it fails."""
    from cavs.adapt.cli import main as cavs_adapt

    print("cavs-adapt", *words, flush=True)
    if cavs_adapt(list(words)):
        raise SystemExit(1)


STEPS = {
    "data": compose, "network": make_networks, "table": table, "entangled": entangled, "ablation": ablation, "tables": tables,
}  # fmt: skip

if __name__ == "__main__":
    main()
