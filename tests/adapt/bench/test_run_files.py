"""A run's folder when the disk refuses: what was finished stays, and the run goes on when there is room again."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cavs.adapt.bench.plan import RunPlan
from cavs.adapt.bench.run_files import alone, pin, write_whole
from cavs.adapt.bench.start import open_run
from cavs.runtime.errors import TrainingStopped

ROOM_BYTES = 20_000


@contextmanager
def little_room() -> Iterator[None]:
    """No file may grow beyond ROOM_BYTES, for the kernel a kind of full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_says_so_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "run.json", "old")
    (tmp_path / ".run.json.part").symlink_to("/dev/full")
    with pytest.raises(TrainingStopped, match=r"run\.json: not written \(No space left on device\)"):
        write_whole(tmp_path / "run.json", "new" * 10_000)
    assert (tmp_path / "run.json").read_text() == "old\n"


def test_a_plan_that_is_told_anew_names_what_differs_and_new_options_keep_old_folders(tmp_path: Path) -> None:
    plan = RunPlan(protocol="cis-2-2-overlapped", method="lwf")
    (tmp_path / "plan.json").write_text('{"protocol": "cis-2-2-overlapped", "method": "lwf"}')
    pin(tmp_path, plan)
    with pytest.raises(TrainingStopped, match="differs in batch, seed"):
        pin(tmp_path, plan.model_copy(update={"batch": 3, "seed": 1}))
    (tmp_path / "plan.json").write_text('{"protocol": "x", "method": "lwf", "later": "all"}')
    with pytest.raises(TrainingStopped, match="no plan of a run"):
        pin(tmp_path, plan)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(TrainingStopped, match="another run is at work"), alone(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingStopped, match="cannot be written to"), alone(tmp_path / "file"):
        pass


def test_a_task_that_cannot_be_kept_stops_the_run_and_the_next_one_ends_as_it_should(
    avss: Path, start_from: Path, tmp_path: Path
) -> None:
    plan = RunPlan(
        protocol="cis-2-2-overlapped", method="fine-tuning", epochs=(1, 1), data=(str(avss),), network=str(start_from)
    )
    whole = open_run(plan, tmp_path / "whole").run()
    run = open_run(plan, tmp_path)
    run.store.fill(lambda done, total: None)
    with little_room(), pytest.raises(TrainingStopped, match=r"not written .*the tasks before it are kept, run again"):
        run.run()
    assert not list((tmp_path / "cis-2-2-overlapped" / "fine-tuning" / "0" / "tasks").glob("[0-9]*"))
    assert open_run(plan, tmp_path).run().measures == whole.measures
