"""What a lesson would teach, for a person's eyes: a contact sheet and a video; and the labels, to go on after a restart."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from cavs.adapt.data.ingredients import Pixels
from cavs.adapt.data.movie import write_video
from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.material import Mask
from cavs.adapt.learn.propose import Proposal, exemplars_of
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.disk import Disk
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import PREVIEW_FILE, LessonRequest, ProposalRecord
from cavs.runtime.lesson_windows import Windows

LABELS_FILE, MOVIE_FILE = "labels.safetensors", "preview.mp4"
COLUMNS, ROWS = 6, 4
CAPTION_PX = 22
SLOWEST_FPS = 2.0
GREEN, GREY, WHITE = (0, 220, 90), (150, 150, 150), (255, 255, 255)


def write_proposal_files(proposal: Proposal, windows: Windows, out: Path, disk: Disk | None = None) -> None:
    """Writes labels.safetensors, preview.png and preview.mp4 into the directory `out`.

    Raises LessonRejected, naming the file, if the disk refuses; DataRejected if no video can be encoded.
    """
    disk = disk or Disk()
    sheet = cv2.imencode(".png", cv2.cvtColor(contact_sheet(proposal, windows), cv2.COLOR_RGB2BGR))[1].tobytes()
    for name, content in ((LABELS_FILE, bytes(save_tensors({"masks": proposal.masks}))), (PREVIEW_FILE, sheet)):
        try:
            disk.write(out / name, content)
        except OSError as error:
            raise LessonRejected(f"{out / name}: cannot be written: {error.strerror}; nothing was learned") from error
    write_preview_movie(proposal, windows, out / MOVIE_FILE)


def contact_sheet(proposal: Proposal, windows: Windows) -> Pixels:
    """Windows spread over the lesson, outlined where they are kept, each with its time and what becomes of it."""
    looked_at = [line for line in proposal.record.windows if line.reason != "not looked at"]
    chosen = [looked_at[n] for n in np.unique(np.linspace(0, len(looked_at) - 1, COLUMNS * ROWS).round().astype(int))]
    height, width = windows.frames.shape[1:3]
    rows = -(-len(chosen) // COLUMNS)
    sheet = np.zeros((rows * (height + CAPTION_PX), COLUMNS * width, 3), np.uint8)
    for place, line in enumerate(chosen):
        top, left = place // COLUMNS * (height + CAPTION_PX), place % COLUMNS * width
        picture = outlined(windows.frames[line.frame], proposal.masks[line.frame])
        sheet[top : top + height, left : left + width] = picture
        seconds = (int(windows.t_ns[line.frame]) - int(windows.t_ns[0])) / NS_PER_S
        text = f"{seconds:.1f} s  {line.reason or format(line.score, '.2f')}"
        at = (left + 4, top + height + CAPTION_PX - 7)
        cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, GREY if line.reason else WHITE, 1, cv2.LINE_AA)
    return sheet


def outlined(frame: Pixels, mask: Mask) -> Pixels:
    """The frame with the mask lit and its edge drawn."""
    shown = frame.copy()
    if mask.any():
        shown[mask] = (0.65 * shown[mask] + 0.35 * np.array(GREEN)).astype(np.uint8)
        edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shown, edges, -1, GREEN, 1, cv2.LINE_AA)
    return shown


def write_preview_movie(proposal: Proposal, windows: Windows, path: Path) -> None:
    """The lesson with its sound, at the mean rate of its windows. Raises DataRejected if it cannot be written."""
    span_s = (int(windows.t_ns[-1]) - int(windows.t_ns[0])) / NS_PER_S
    fps = max(SLOWEST_FPS, (len(windows) - 1) / span_s) if span_s > 0 else SLOWEST_FPS
    first = round((int(windows.t_ns[0]) - windows.sound_start_ns) * windows.rate_hz / NS_PER_S)
    samples = round(len(windows) / fps * windows.rate_hz)
    sound = np.zeros(samples, np.float32)
    heard = windows.sound[max(0, first) : max(0, first) + samples]
    sound[: len(heard)] = heard
    pictures = (outlined(frame, mask) for frame, mask in zip(windows.frames, proposal.masks, strict=True))
    write_video(path, pictures, fps=fps, sound=sound, rate_hz=windows.rate_hz)


def read_exemplars(
    request: LessonRequest, windows: Windows, record: ProposalRecord, proposal: Path, form: tuple[int, int]
) -> tuple[Exemplar, ...]:
    """The exemplars of a proposal that was written. form: as `exemplars_of` takes. Raises LessonRejected if it is torn."""
    return exemplars_of(request, windows, record, _read_masks(proposal / LABELS_FILE, windows), form)


def _read_masks(path: Path, windows: Windows) -> npt.NDArray[np.bool_]:
    try:
        masks = load_tensors(path.read_bytes())["masks"]
    except OSError as error:
        raise LessonRejected(f"{path}: {error.strerror}; propose again") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise LessonRejected(f"{path}: not the labels of a lesson ({error}); torn or edited: propose again") from error
    if masks.dtype != np.bool_ or masks.shape != windows.frames.shape[:3]:
        raise LessonRejected(f"{path}: {masks.dtype} {masks.shape}, bool {windows.frames.shape[:3]} expected; propose again")
    return masks
