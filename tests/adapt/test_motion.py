"""Motion: paths, camera and light are smooth functions of time."""

import numpy as np
import pytest

from cavs.adapt.data.motion import WORLD, Camera, Path, Sway, draw_camera, draw_light, draw_path, draw_sway, seen_by
from cavs.adapt.data.sprite import Pose

SIZE = (100, 200)


def test_a_sway_drifts_and_swings() -> None:
    sway = Sway(10.0, 2.0, ((3.0, 0.5, 0.0),))
    assert [sway.at(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([10.0, 14.0, 12.0])


def test_a_drawn_sway_keeps_to_its_reach() -> None:
    for seed in range(50):
        sway = draw_sway(np.random.default_rng(seed), 5.0, drift=1.0, reach=2.0, fastest_hz=1.0)
        assert all(abs(sway.at(t) - 5.0) <= 2.0 + t for t in np.linspace(0, 5, 50))


def test_objects_move_a_little_from_frame_to_frame() -> None:
    for seed in range(50):
        path = draw_path(np.random.default_rng(seed), Pose(x=50, y=50, longest=40), 100)
        before, after = path.at(1.0), path.at(1.04)
        assert abs(before.x - after.x) < 3
        assert abs(before.longest / after.longest - 1) < 0.03


def test_some_objects_stand_still_and_some_move() -> None:
    moved = []
    for seed in range(60):
        path = draw_path(np.random.default_rng(seed), Pose(x=50, y=50, longest=40), 100)
        moved.append(path.at(0.0) != path.at(2.0))
    assert 0.4 < np.mean(moved) < 0.95


def test_a_camera_on_a_stand_looks_at_the_middle_of_the_world() -> None:
    camera = draw_camera(np.random.default_rng(0), SIZE, steady=1.0)
    view = camera.view(3.0, SIZE)
    middle = view @ [SIZE[1] * WORLD / 2, SIZE[0] * WORLD / 2, 1]
    assert middle == pytest.approx([100, 50])


def test_a_camera_in_the_hand_moves_but_stays_in_the_world() -> None:
    shifts = []
    for seed in range(40):
        camera = draw_camera(np.random.default_rng(seed), SIZE, steady=0.0)
        corners = [camera.view(t, SIZE)[:, 2] for t in np.linspace(0, 5, 26)]
        shifts.append(np.ptp(np.array(corners), axis=0).max())
        assert np.abs(np.array(corners) - camera.view(0.0, SIZE)[:, 2]).max() < 0.25 * max(SIZE)
    assert np.median(shifts) > 1


def test_a_pose_is_seen_where_the_view_maps_its_centre() -> None:
    camera = Camera(Sway(110.0), Sway(60.0), Sway(0.2))
    view = camera.view(0.0, SIZE)
    seen = seen_by(Pose(x=120, y=70, longest=30), view)
    assert (seen.x, seen.y) == pytest.approx(tuple(view @ [120, 70, 1]))
    assert seen.longest == pytest.approx(30 * np.exp(0.2))


def test_a_still_path_keeps_its_pose() -> None:
    pose = Pose(x=1, y=2, longest=3, turn=0.1)
    assert Path(pose, Sway(1), Sway(2), Sway(0), Sway(0.1)).at(4.0) == pose


def test_light_varies_around_what_is_unchanged() -> None:
    fields = np.array([draw_light(np.random.default_rng(seed), 1.0).at(2.0) for seed in range(60)])
    assert fields.mean() == pytest.approx(128, abs=8)
    assert fields.mean(axis=(1, 2)).std() > 2
    assert (draw_light(np.random.default_rng(0), 0.0).at(1.0) == 128).all()
