"""A method through a protocol, from files to tables: cached features, the wall, resuming, reporting."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cavs.adapt.bench.clip_store import ClipStore, sound_before
from cavs.adapt.bench.evaluation import LabelScores, task_scores
from cavs.adapt.bench.named_protocols import make_protocol
from cavs.adapt.bench.network_segmenter import NetworkSegmenter
from cavs.adapt.bench.plan import RunPlan
from cavs.adapt.bench.runner import BenchRun
from cavs.adapt.bench.task_data import TaskData
from cavs.adapt.cli import main
from cavs.adapt.data.avss import read_avss, write_avss_clip, write_avss_index
from cavs.adapt.data.clip_set import LabelledClip
from cavs.adapt.methods.catalogue import make_method
from cavs.adapt.methods.method import Inputs
from cavs.adapt.model.checkpoint import save_checkpoint
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.errors import ConfigError, TrainingStopped
from tests.small_network import pictures, small_network, sounds

CLASSES = ("background", "bell", "cat", "drum", "horn")
COUNTS = {"train": 2, "val": 1, "test": 1}
SIDE = 64


def clip(name: str, split: str, label: int, rng: np.random.Generator) -> LabelledClip:
    """A coloured square that moves, and a tone of its pitch."""
    frames = rng.integers(90, 130, (5, SIDE, SIDE, 3)).astype(np.uint8)
    masks = np.zeros((5, SIDE, SIDE), np.uint8)
    for t in range(5):
        top, left = rng.integers(0, SIDE - 32, 2)
        masks[t, top : top + 32, left : left + 32] = label
        frames[t][masks[t] > 0] = np.array([50 * label, 255 - 60 * label, (97 * label) % 256])
    tone = 0.3 * np.sin(2 * np.pi * 250 * 2**label * np.arange(5 * 16_000) / 16_000)
    return LabelledClip(name, split, (CLASSES[label],), frames, masks, np.ones(5, bool), tone.astype(np.float32))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("avss")
    rng = np.random.default_rng(0)
    rows = [
        write_avss_clip(root, clip(f"{CLASSES[label]}-{split}-{n}", split, label, rng), CLASSES)
        for split, count in COUNTS.items()
        for label in range(1, 5)
        for n in range(count)
    ]
    write_avss_index(root, rows, CLASSES)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    save_checkpoint(small_network(), path)
    return path


def bench(data: Path, cache: Path, out: Path, method: str, after: Callable[[int], None] = lambda done: None) -> BenchRun:
    """Three tasks, or two for methods that need only be seen to run. Those with a memory per class keep one clip."""
    name, options = ("cis-2-1" if method == "cavs" else "cis-2-2"), ({"per_class": 1} if method in ("cavs", "cmr") else {})
    segmenter = NetworkSegmenter(small_network())
    store = ClipStore([read_avss(data, size_px=SIDE)], segmenter, cache)
    plan = RunPlan(protocol=name, method=method, options=options, epochs=(2, 1), batch=8, rates=(3e-3, 3e-3))
    protocol = make_protocol(name, "overlapped", CLASSES[1:])
    return BenchRun(plan, protocol, store, segmenter, out=out, clock=MonotonicClock(), after_task=after)


class Killed(Exception):
    """Stands for a process that was killed."""


def die_after(task: int) -> Callable[[int], None]:
    def after(done: int) -> None:
        if done == task:
            raise Killed

    return after


def test_cached_features_say_what_raw_inputs_say() -> None:
    segmenter = NetworkSegmenter(small_network())
    segmenter.classifier.grow(2)
    segmenter.eval()
    raw = Inputs((pictures(2),), (sounds(2),))
    with torch.no_grad():
        encoded = segmenter.encode(raw)
        torch.testing.assert_close(segmenter(encoded).logits, segmenter(raw).logits)
        muted = segmenter(segmenter.muted(encoded)).logits
        torch.testing.assert_close(muted, segmenter(segmenter.muted(raw)).logits, atol=1e-4, rtol=1e-4)
    assert segmenter(raw).logits.shape == (2, 3, 16, 16)
    torch.testing.assert_close(segmenter(raw).attention[0].sum(1), torch.ones(2))


def test_a_run_that_was_killed_after_a_task_ends_as_one_that_was_not(data: Path, cache: Path, tmp_path: Path) -> None:
    whole = bench(data, cache, tmp_path / "whole", "cavs").run()
    with pytest.raises(Killed):
        bench(data, cache, tmp_path / "killed", "cavs", die_after(0)).run()
    assert not (tmp_path / "killed" / "run.json").exists()
    resumed = bench(data, cache, tmp_path / "killed", "cavs").run()
    assert resumed.measures == whole.measures
    assert whole.memory_clips == 4
    matrix = whole.matrix("class_miou_dataset")
    assert matrix.scores.shape == (3, 3)
    assert np.isnan(matrix.scores[np.triu_indices(3, k=1)]).all()
    assert np.isfinite(matrix.scores[np.tril_indices(3)]).all()
    ends = [load_file(tmp_path / name / "tasks" / "2" / "segmenter.safetensors") for name in ("whole", "killed")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0] | ends[1])


def test_the_start_that_methods_share_is_learned_once_and_leaves_no_classifier(data: Path, cache: Path, tmp_path: Path) -> None:
    def started(out: str, method: str) -> BenchRun:
        segmenter = NetworkSegmenter(small_network())
        store = ClipStore([read_avss(data, size_px=SIDE)], segmenter, cache)
        plan = RunPlan(protocol="cis-2-2", method=method, common=1, epochs=(1, 1), batch=8, scored="val")
        protocol = make_protocol("cis-2-2", "overlapped", CLASSES[1:])
        clock, folder = MonotonicClock(), tmp_path / out
        return BenchRun(plan, protocol, store, segmenter, out=folder, clock=clock, common=tmp_path / "starts")

    first = started("one", "fine-tuning").run()
    (file,) = (tmp_path / "starts").iterdir()
    assert not any(name.startswith(("visual.", "audio.", "classifier.")) for name in load_file(file))
    assert any(name.endswith("running_mean") for name in load_file(file))
    written = file.stat().st_mtime_ns
    second = started("two", "fine-tuning").run()
    assert file.stat().st_mtime_ns == written
    assert first.measures == second.measures
    assert first.recipe["scored"] == "val"
    sizes = [len(confusion) for confusion in first.confusions]
    assert sizes == [3, 5]
    assert sum(map(sum, first.confusions[0])) > 0


def test_without_conditioning_the_sound_cannot_scale_channels() -> None:
    segmenter = NetworkSegmenter(small_network(), conditioning=False)
    assert not any("condition" in name for name, _ in segmenter.named_parameters())
    segmenter.classifier.grow(2)
    assert segmenter(Inputs((pictures(2),), (sounds(2),))).logits.shape == (2, 3, 16, 16)


def test_a_uni_modal_network_is_trained_when_the_method_asks_for_one(data: Path, cache: Path, tmp_path: Path) -> None:
    record = bench(data, cache, tmp_path / "run", "cmr").run()
    assert record.memory_clips == 4


def test_a_folder_takes_one_plan_and_one_run_at_a_time(data: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        bench(data, cache, tmp_path, "fine-tuning", die_after(0)).run()
    with pytest.raises(TrainingStopped, match="differs in method"):
        bench(data, cache, tmp_path, "lwf").run()
    inside = bench(data, cache, tmp_path, "fine-tuning")

    def again(done: int) -> None:
        inside.run()

    with pytest.raises(TrainingStopped, match="another run is at work"):
        bench(data, cache, tmp_path, "fine-tuning", again).run()


def test_a_cache_that_cannot_be_written_stops_the_run_in_one_line(data: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(TrainingStopped, match="features not written"):
        bench(data, tmp_path / "cache", tmp_path / "run", "fine-tuning").run()


def test_clips_of_earlier_tasks_cannot_be_read_by_an_exemplar_free_method(data: Path, cache: Path) -> None:
    segmenter = NetworkSegmenter(small_network())
    store = ClipStore([read_avss(data, size_px=SIDE)], segmenter, cache)
    protocol = make_protocol("cis-2-1", "overlapped", CLASSES[1:])
    first = TaskData(store, protocol, 0, make_method("lra"))
    second = TaskData(store, protocol, 1, make_method("lra"))
    with pytest.raises(ValueError, match="may not be read"):
        list(second.epoch([first.current[0]], 4, np.random.default_rng(0)))
    (rows,) = second.in_order()
    assert rows.clips == second.current
    joint = TaskData(store, protocol, 1, make_method("joint"))
    assert set(joint.current) == {*first.current, *second.current}


def test_rehearsed_frames_carry_their_old_classes_and_are_flagged(data: Path, cache: Path) -> None:
    segmenter = NetworkSegmenter(small_network())
    store = ClipStore([read_avss(data, size_px=SIDE)], segmenter, cache)
    protocol = make_protocol("cis-2-1", "overlapped", CLASSES[1:])
    data_now = TaskData(store, protocol, 1, make_method("fine-tuning"))
    old = TaskData(store, protocol, 0, make_method("fine-tuning")).current[0]
    store.allow((*data_now.current, old))
    assert data_now.frames(data_now.current) == 2  # v1s: one annotated frame a training clip
    drawn = (next(data_now.epoch([old, old], 100, np.random.default_rng(seed))) for seed in range(100))
    rows = next(rows for rows in drawn if rows.rehearsed.tolist() == [False, True])
    assert set(rows.labels[~rows.rehearsed].flatten().tolist()) == {0, 3}
    assert rows.labels[rows.rehearsed].max() in (1, 2)
    assert rows.classes.shape == (2, 4)
    assert rows.classes[rows.rehearsed][:, 1:3].any()


def test_the_sound_of_a_frame_ends_with_it() -> None:
    one = clip("x", "train", 1, np.random.default_rng(0))
    wave = sound_before(one, 0, 32_000)
    assert len(wave) == 32_000
    lead = 32_000 - round(0.96 * 16_000)
    assert not wave[:lead].any()
    np.testing.assert_array_equal(wave[lead:], one.samples[: 32_000 - lead])
    np.testing.assert_array_equal(sound_before(one, 3, 16_000), one.samples[47_360:63_360])


def test_scores_in_both_definitions() -> None:
    scores = LabelScores(2)
    scores.add(np.array([[1, 1], [0, 0]]), np.array([[1, 0], [0, 255]]))
    scores.add(np.array([[2, 2], [2, 0]]), np.array([[2, 2], [2, 2]]))
    by_class = scores.by_class()
    assert by_class["class_miou_dataset"].tolist() == [0.5, 0.75]
    scores.add(np.array([[1, 0], [0, 0]]), np.array([[0, 0], [0, 0]]))
    assert scores.by_class()["class_miou_dataset"][0] == pytest.approx(1 / 3)
    assert scores.by_class()["class_miou_avss"].tolist() == [0.25, 0.75]
    row, seen = task_scores(np.array([0.2, 0.4, 0.9]), (2, 1), 3)
    assert row[:2] == pytest.approx([0.3, 0.9])
    assert np.isnan(row[2])
    assert seen == pytest.approx(0.5)


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="cavs-SCENARIO-SPLIT"):
        make_protocol("voc-15-5", "overlapped", CLASSES)
    with pytest.raises(ConfigError, match="3-3 does not divide"):
        make_protocol("cis-3-3", "overlapped", CLASSES[1:])
    assert len(make_protocol("cavs-cim-60-5a", "disjoint", ()).tasks) == 3


def test_the_command_runs_seeds_and_reports_them(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["bench", "--protocol", "cis-2-2", "--data", str(data), "--network", str(checkpoint), "--out", str(tmp_path)]
    assert main([*common, "--method", "er", "--set", "memory=2", "--seeds", "0", "1", "--epochs", "1", "1"]) == 0
    capsys.readouterr()
    assert main(["bench", "report", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "**cis-2-2-overlapped, class_miou_dataset**" in printed
    assert "| er (memory 2) |" in printed
    assert printed.count("| 2 |") == 3
    assert main([*common, "--method", "nothing"]) == 1
    assert "known: fine-tuning" in capsys.readouterr().err
    assert main(["bench", "--protocol", "cis-2-1"]) == 1
    assert "--method, --data, --network, --out missing" in capsys.readouterr().err
