"""A small folder of ingredients on disk, made from the procedural set: PNG, FLAC, JPEG and a manifest."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile

from cavs.adapt.data.ingredients import RATE_HZ, Backdrop, Cutout, Ingredients, Recording, Split
from cavs.adapt.data.procedural import procedural_ingredients
from cavs.adapt.data.scene import SceneWish, compose_scene

Entry = dict[str, Any]


def few_ingredients(split: Split, per_class: int = 3) -> Ingredients:
    """A few of every class, and two scenes with instances."""
    few = procedural_ingredients(split, per_class=per_class, sounds_per_class=per_class, places=3)
    scenes = tuple(_scene(few, number) for number in range(2))
    return Ingredients(few.split, few.cutouts, few.recordings, scenes, few.backgrounds)


def _scene(few: Ingredients, number: int) -> Backdrop:
    wish = SceneWish(real_scenes=0, strength=0, duplicates=0)
    scene = compose_scene(few, np.random.default_rng(number), size=(120, 160), want=wish)
    ids = np.zeros((120, 160), np.uint8)
    for index, instance in enumerate(scene.instances, 1):
        ids[instance.mask] = index
    objects = tuple((index, instance.cls) for index, instance in enumerate(scene.instances, 1))
    return Backdrop(f"scene{number}", f"{few.split}{number}", scene.frame, ids, objects)


def write_ingredient_folder(root: Path) -> Path:
    """Writes the splits train and val."""
    manifest: dict[str, list[Entry]] = {"images": [], "audio": [], "scenes": [], "backgrounds": []}
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        few = few_ingredients(split, per_class=3 if split == "train" else 1)
        for cutouts in few.cutouts.values():
            manifest["images"] += [_write_cutout(root, split, number, one) for number, one in enumerate(cutouts)]
        for recordings in few.recordings.values():
            manifest["audio"] += [_write_recording(root, split, number, one) for number, one in enumerate(recordings)]
        manifest["backgrounds"] += [_write_photo(root, split, f"{n}", one) for n, one in enumerate(few.backgrounds)]
        manifest["scenes"] += [_write_scene(root, split, one) for one in few.scenes]
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def _entry(path: Path, root: Path, split: str, group: str) -> Entry:
    return {"file": str(path.relative_to(root)), "split": split, "group": group}


def _write_cutout(root: Path, split: str, number: int, cutout: Cutout) -> Entry:
    path = root / "images" / cutout.cls / f"{split}{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(cutout.rgba, cv2.COLOR_RGBA2BGRA))
    return {**_entry(path, root, split, cutout.group), "cls": cutout.cls, "truncated": cutout.truncated}


def _write_recording(root: Path, split: str, number: int, recording: Recording) -> Entry:
    path = root / "audio" / recording.cls / f"{split}{number}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, recording.samples, RATE_HZ)
    return {**_entry(path, root, split, recording.group), "cls": recording.cls}


def _write_photo(root: Path, split: str, name: str, photo: Backdrop) -> Entry:
    path = root / "photos" / f"{split}{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2BGR))
    return _entry(path, root, split, photo.group)


def _write_scene(root: Path, split: str, scene: Backdrop) -> Entry:
    entry = _write_photo(root, split, scene.id, scene)
    inst = root / "photos" / f"{split}{scene.id}_inst.png"
    assert scene.ids is not None
    cv2.imwrite(str(inst), scene.ids)
    objects = [{"id": number, "cls": cls} for number, cls in scene.objects]
    return {**entry, "inst": str(inst.relative_to(root)), "objects": objects}
