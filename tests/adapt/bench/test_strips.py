"""Strips are drawn from the networks that finished runs kept."""

import json
from pathlib import Path

import cv2
import pytest

from cavs.adapt.bench.strips import CAPTION_PX, FRAME_PX, write_strips
from cavs.adapt.cli import main
from cavs.runtime.errors import DataRejected


def test_a_row_of_every_clip_and_a_column_of_every_method(avss: Path, start_from: Path, tmp_path: Path) -> None:
    paths = ["--data", str(avss), "--network", str(start_from), "--out", str(tmp_path), "--epochs", "1", "1"]
    for method in ("fine-tuning", "joint"):
        assert main(["bench", "--protocol", "cis-2-2", "--method", method, *paths]) == 0
    (file,) = write_strips(tmp_path, tmp_path / "strips", 3)
    picture = cv2.imread(str(file))
    assert picture is not None
    assert picture.shape == (CAPTION_PX + 3 * FRAME_PX, 4 * FRAME_PX, 3)
    frame, truth = picture[CAPTION_PX:, :FRAME_PX], picture[CAPTION_PX:, FRAME_PX : 2 * FRAME_PX]
    changed = (frame != truth).any(axis=2).mean()
    assert 0.15 < changed < 0.35, "the square is a quarter of the frame"
    plan = tmp_path / "cis-2-2-overlapped" / "joint" / "0" / "plan.json"
    said = json.loads(plan.read_text())
    plan.write_text(json.dumps({**said, "data": [str(avss), str(avss)]}))
    with pytest.raises(DataRejected, match="others of its protocol"):
        write_strips(tmp_path, tmp_path / "strips", 1)
