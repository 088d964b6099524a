"""`cavs-adapt data demo`: writes the demonstration clip and its truth."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from cavs.adapt.data.demo_clip import FPS, HEIGHT_PX, OFFSCREEN, SECONDS, SOUND_HZ, TAKES, WIDTH_PX, DemoClip
from cavs.adapt.data.movie import write_video
from cavs.runtime.errors import DataRejected

HELP = "write the demonstration clip that `cavs-stream --demo` plays, and its truth"
CRF, PRESET = "23", "slow"
"""x264 settings: the clip is made once and shipped, so it may take its time to be small."""
MASKS_PER_S = 5
BOXES_AT_S = 0.5
"""Boxes are given for the middle of every second, away from the cuts."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its options."""
    parser = subparsers.add_parser("demo", help=HELP, description=HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="the clip; its truth goes to FILE.json")
    parser.add_argument("--masks", type=Path, metavar="FILE.npz", help=f"also the masks, {MASKS_PER_S} per second")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the files, each whole or not at all."""
    for path, suffix in ((args.out, ".mp4"), (args.masks, ".npz")):
        if path is not None and path.suffix != suffix:
            raise DataRejected(f"{path}: {path.suffix or 'no ending'}, expected a name that ends in {suffix}")
    clip = DemoClip()
    fresh = args.out.with_name(args.out.name + ".new")
    pictures = track(clip.frames(), "filming", total=round(SECONDS * FPS))
    write_video(fresh, pictures, fps=FPS, sound=clip.sound, rate_hz=SOUND_HZ, crf=CRF, preset=PRESET)
    truth = args.out.with_suffix(".json")
    try:
        fresh.replace(args.out)
        truth.write_text(json.dumps(describe(clip, args.out.name), indent=1) + "\n", encoding="utf-8")
        if args.masks is not None:
            _write_masks(args.masks, clip)
    except OSError as error:
        raise DataRejected(f"{error.filename or args.out}: {error.strerror}; name files that can be written") from None
    print(f"{args.out}: {SECONDS:.0f} s, {args.out.stat().st_size / 2**20:.2f} MiB; truth in {truth}")
    return 0


def _write_masks(path: Path, clip: DemoClip) -> None:
    """Masks uint8 (T, H, W), their times, and the class names by index less one."""
    times_s = np.arange(round(SECONDS * MASKS_PER_S)) / MASKS_PER_S
    masks = np.stack([clip.mask_at(float(time_s)) for time_s in times_s])
    np.savez_compressed(path, masks=masks, times_s=times_s, class_names=np.array(clip.classes))


def describe(clip: DemoClip, name: str) -> dict[str, Any]:
    """The truth in words and numbers; times in seconds of the clip, boxes in pixels (left, top, right, bottom)."""
    intervals = {cls: [[round(a, 2), round(b, 2)] for a, b in spans] for cls, spans in clip.intervals().items()}
    objects = []
    for take in TAKES:
        for thing in take.things:
            sounding = [span for span in intervals[thing.cls] if thing.sounds and take.start_s <= span[0] < take.end_s]
            objects.append({"class": thing.cls, "seen": [take.start_s, take.end_s], "sounding": sounding})
    moments = [second + BOXES_AT_S for second in range(round(SECONDS))]
    return {
        "file": name,
        "seconds": SECONDS,
        "fps": FPS,
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "classes": list(clip.classes),
        "rule": "an object sounds while its own sound was above its threshold within the last 0.6 s",
        "objects": objects,
        "offscreen": [{"class": OFFSCREEN, "sounding": intervals[OFFSCREEN]}],
        "moments": [
            {
                "time_s": time_s,
                "boxes": [{"class": cls, "box": list(box), "sounding": now} for cls, box, now in clip.boxes_at(time_s)],
            }
            for time_s in moments
        ],
    }
