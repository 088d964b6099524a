"""The task on disk: exchanged whole, and a torn file is none."""

from pathlib import Path

import numpy as np
import pytest

from cavs.adapt.serve.task import TASK_FILE, TRAINING_FILE, TaskFolder, TaskRecord
from cavs.adapt.serve.verdict import VERDICT_FILE, Verdict
from cavs.runtime.adapter import default_adapter, read_adapter
from cavs.runtime.bundle import Bundle

TASK = TaskRecord(
    lesson="20261121T153000-a1b2c3",
    names=("yellow",),
    base_version=1,
    base_bundle="b" * 64,
    base_adapter="a" * 64,
    incumbent="a" * 64,
    incumbent_version=1,
    memory=("x", "x", "y"),
)


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path / "task")
    folder.begin(TASK)
    return folder


def test_what_was_noted_is_read(folder: TaskFolder, tiny_bundle: Bundle) -> None:
    assert folder.task() == TASK
    folder.note(TASK.model_copy(update={"phase": "gate"}))
    folder.keep_training({"done": np.array([3])})
    folder.keep_candidate(default_adapter(tiny_bundle))
    folder.keep_candidate(default_adapter(tiny_bundle))
    task, state = folder.task(), folder.training()
    assert task is not None
    assert state is not None
    assert (task.phase, state["done"].tolist()) == ("gate", [3])
    assert read_adapter(folder.candidate).id == default_adapter(tiny_bundle).id


def test_a_new_task_finds_nothing_of_the_one_before(folder: TaskFolder, tiny_bundle: Bundle) -> None:
    folder.keep_training({"done": np.array([3])})
    folder.keep_candidate(default_adapter(tiny_bundle))
    folder.keep_verdict(Verdict(lesson="x", adapter=None, parent=None, bundle="b" * 64, accepted=False, checks=(), wall_ns=0))
    folder.begin(TASK)
    assert (folder.training(), folder.verdict(), folder.candidate.exists()) == (None, None, False)


@pytest.mark.parametrize("name", [TASK_FILE, TRAINING_FILE, VERDICT_FILE])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 40])
def test_a_torn_file_is_none(folder: TaskFolder, name: str, content: bytes) -> None:
    (folder.path / name).write_bytes(content)
    found = {TASK_FILE: folder.task, TRAINING_FILE: folder.training, VERDICT_FILE: folder.verdict}[name]()
    assert found is None
