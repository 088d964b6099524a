"""CL-AVS on files: class-, task- and domain-incremental on S4, task-free on MS3."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from cavs.adapt.bench.cl_avs_data import read_categories, read_domains
from cavs.adapt.bench.plan import RunPlan
from cavs.adapt.bench.report import RunRecord
from cavs.adapt.bench.start import make_plan, open_run
from cavs.adapt.cli import command_parser, main
from cavs.runtime.errors import ConfigError, DataRejected, TrainingStopped
from tests.bench_clips import SIDE, write_ms3, write_s4

CATEGORIES = ("dog_barking", "helicopter", "male_speech")
"""Of three of the five groups."""
MEASURES = {"binary_miou", "max_f"}


@pytest.fixture(scope="module")
def s4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_s4(tmp_path_factory.mktemp("s4"), CATEGORIES, {"train": 2, "val": 1, "test": 2})


@pytest.fixture(scope="module")
def ms3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ms3(tmp_path_factory.mktemp("ms3"), {"train": 5, "test": 2})


def parsed(protocol: str, method: str, data: Path, network: Path, out: Path, *more: str) -> argparse.Namespace:
    paths = ["--data", str(data), "--network", str(network), "--out", str(out)]
    return command_parser().parse_args(["bench", "--protocol", protocol, "--method", method, *paths, *more])


def ran(args: argparse.Namespace) -> RunRecord:
    return open_run(planned(args), args.out).run()


def planned(args: argparse.Namespace) -> RunPlan:
    return make_plan(args, args.method[0], {}, 0)


def test_masks_name_the_category_or_the_domain_and_no_clip_has_two_domains(s4: Path) -> None:
    by_name = read_categories(s4, SIDE)
    assert by_name.classes == ("background", *CATEGORIES)
    clip = by_name.clip(0)
    assert set(np.unique(clip.masks)) == {0, CATEGORIES.index(clip.sounding[0]) + 1}
    domains = read_domains(s4, SIDE)
    assert domains.view != by_name.view
    dealt = [files.sounding[0] for files in domains.files if files.split == "train"]
    assert len(dealt) == 6
    assert set(dealt) == {"clean", "night", "blur", "noise", "reverb"}
    assert dealt == [files.sounding[0] for files in read_domains(s4, SIDE).files if files.split == "train"]


@pytest.mark.parametrize("protocol", ["cil-1-1", "til-1-1", "dil"])
def test_every_task_is_scored_after_every_task(protocol: str, s4: Path, start_from: Path, tmp_path: Path) -> None:
    record = ran(parsed(protocol, "lra", s4, start_from, tmp_path, "--epochs", "2", "1"))
    assert set(record.measures) == MEASURES
    for measure in MEASURES:
        matrix = record.matrix(measure)
        assert matrix.scores.shape == (3, 3)
        assert np.isfinite(matrix.scores).all(), "tasks to come are scored as well"
        assert np.isfinite([matrix.forgetting, matrix.forward_transfer, matrix.final]).all()
        assert ((matrix.scores >= 0) & (matrix.scores <= 1)).all()
    assert record.memory_clips == 0


def test_a_task_is_told_only_where_the_protocol_says_so(s4: Path, start_from: Path, tmp_path: Path) -> None:
    told = open_run(planned(parsed("til-1-1", "fine-tuning", s4, start_from, tmp_path, "--epochs", "1", "1")), tmp_path)
    told.run()
    assert told.segmenter.classifier.sizes == (1, 1, 1)
    alone = open_run(planned(parsed("cil-1-1", "fine-tuning", s4, start_from, tmp_path, "--epochs", "1", "1")), tmp_path)
    alone.run()
    assert alone.segmenter.classifier.sizes == (1,)


def test_a_stream_is_learned_once_scored_on_the_way_and_goes_on_after_a_kill(
    ms3: Path, start_from: Path, tmp_path: Path
) -> None:
    more = ("--batch", "2", "--evaluate-every", "1")
    whole = ran(parsed("tf-cl", "lra-stream", ms3, start_from, tmp_path / "whole", *more))
    matrix = whole.matrix("max_f")
    assert matrix.seen.shape == (3,), "5 clips, 2 at a time, scored after each"
    assert np.isfinite(matrix.forgetting)
    assert matrix.forgetting == pytest.approx(matrix.seen.max() - matrix.seen[-1])
    args = parsed("tf-cl", "lra-stream", ms3, start_from, tmp_path / "killed", *more)
    killed = open_run(planned(args), args.out)

    def die(done: int) -> None:
        raise KeyboardInterrupt

    killed.after_task = die
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = ran(args)
    assert resumed.measures == whole.measures


def test_a_batch_of_a_stream_is_gone_when_it_was_learned(ms3: Path, start_from: Path, tmp_path: Path) -> None:
    run = open_run(planned(parsed("tf-cl", "fine-tuning", ms3, start_from, tmp_path)), tmp_path)
    run.run()
    train = [clip.key for clip in run.store.clips if clip.split == "train"]
    assert len(train) == 5
    for key in train:
        with pytest.raises(ValueError, match="may not be read"):
            run.store.features(key)


def test_corrupted_domains_do_not_share_features_with_clean_clips(s4: Path, start_from: Path, tmp_path: Path) -> None:
    for protocol in ("dil-corrupted", "dil"):
        run = open_run(planned(parsed(protocol, "lra", s4, start_from, tmp_path)), tmp_path)
        run.store.fill(lambda done, total: None)
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_what_does_not_fit_is_said_before_anything_runs(s4: Path, ms3: Path, start_from: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown; known: cavs-SCENARIO-SPLIT.*cil-11-2.*tf-cl"):
        planned(parsed("cil", "lra", s4, start_from, tmp_path))
    with pytest.raises(ConfigError, match="known: fine-tuning"):
        planned(parsed("dil", "nothing", s4, start_from, tmp_path))
    with pytest.raises(ConfigError, match="needs tasks, and tf-cl has none; known for it: fine-tuning, lra-stream"):
        planned(parsed("tf-cl", "cmr", ms3, start_from, tmp_path))
    with pytest.raises(DataRejected, match="layout ms3; protocol cil-1-1 needs s4"):
        open_run(planned(parsed("cil-1-1", "lra", ms3, start_from, tmp_path)), tmp_path)
    with pytest.raises(ConfigError, match="1-3 does not divide 3 classes"):
        open_run(planned(parsed("cil-1-3", "lra", s4, start_from, tmp_path)), tmp_path)
    other = write_s4(tmp_path / "other", ("kettle",), {"train": 1, "test": 1})
    with pytest.raises(ConfigError, match="kettle in none of the groups"):
        open_run(planned(parsed("dil", "lra", other, start_from, tmp_path)), tmp_path)


def test_the_command_runs_and_reports_them(
    s4: Path, start_from: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--data", str(s4), "--network", str(start_from), "--out", str(tmp_path)]
    assert main(["bench", "--protocol", "cil-1-1", "--method", "lra", *paths, "--epochs", "1", "1"]) == 0
    assert main(["bench", "report", str(tmp_path), "--plots", str(tmp_path / "plots")]) == 0
    said = capsys.readouterr().out
    assert "**cil-1-1, max_f**" in said
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        f"cil-1-1-{measure}-{kind}.png" for measure in ("binary-miou", "max-f") for kind in ("curve", "heat", "transfer")
    ]
    plan = json.loads((tmp_path / "cil-1-1" / "lra" / "0" / "plan.json").read_text())
    assert plan["protocol"] == "cil-1-1"
    (tmp_path / "cil-1-1" / "lra" / "0" / "plan.json").write_text("{")
    with pytest.raises(TrainingStopped, match=r"plan\.json: no plan of a run"):
        ran(parsed("cil-1-1", "lra", s4, start_from, tmp_path))
