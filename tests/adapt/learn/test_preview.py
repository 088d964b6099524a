"""What a person sees of a proposal, and what is read back of it."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from cavs.adapt.learn.preview import LABELS_FILE, MOVIE_FILE, read_exemplars, write_proposal_files
from cavs.adapt.learn.propose import Proposal
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import PREVIEW_FILE, ProposalRecord, WindowVerdict
from tests.adapt.learn.test_propose import request, windows

KEPT = (2, 5, 9)
FORM = (5120, 0)


def proposal() -> Proposal:
    _, masks = windows()
    lines = tuple(WindowVerdict(frame=n, kept=n in KEPT, reason="" if n in KEPT else "silent", score=0.5) for n in range(10))
    labels = np.stack([masks[n] if n in KEPT else np.zeros_like(masks[n]) for n in range(10)])
    return Proposal((), labels, ProposalRecord(name="whistle", windows=lines, note="3 of 10"))


def test_the_previews_show_what_is_kept(tmp_path: Path) -> None:
    lesson, _ = windows()
    write_proposal_files(proposal(), lesson, tmp_path)
    sheet = cv2.imread(str(tmp_path / PREVIEW_FILE))
    assert sheet is not None
    assert sheet.shape == (2 * (64 + 22), 6 * 64, 3)
    with av.open(str(tmp_path / MOVIE_FILE)) as movie:
        pictures = [frame.to_ndarray(format="rgb24") for frame in movie.decode(video=0)]
        assert movie.streams.audio[0].rate == lesson.rate_hz
    assert len(pictures) == 10
    green = [np.count_nonzero((p[..., 1].astype(int) - p[..., 0]) > 60) for p in pictures]
    assert min(green[n] for n in KEPT) > 20 > green[0]


def test_the_exemplars_are_read_back(tmp_path: Path) -> None:
    lesson, masks = windows()
    made = proposal()
    write_proposal_files(made, lesson, tmp_path)
    read = read_exemplars(request(), lesson, made.record, tmp_path, FORM)
    assert len(read) == len(KEPT)
    np.testing.assert_array_equal(read[1].marks[0][1], masks[5])


def test_torn_labels_are_one_line(tmp_path: Path) -> None:
    lesson, _ = windows()
    made = proposal()
    with pytest.raises(LessonRejected, match="No such file or directory; propose again"):
        read_exemplars(request(), lesson, made.record, tmp_path, FORM)
    (tmp_path / LABELS_FILE).write_bytes(b"torn")
    with pytest.raises(LessonRejected, match="not the labels of a lesson"):
        read_exemplars(request(), lesson, made.record, tmp_path, FORM)
