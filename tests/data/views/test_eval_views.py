import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.data.loading.test_loader import VIEW, split_of
from vidshift.data.loading.loader import eval_batches
from vidshift.data.media import encoding
from vidshift.data.records.record import Record
from vidshift.data.views import eval_views
from vidshift.data.views.eval_views import WHOLE
from vidshift.devices.mesh import shard_batch

RESIZE, CROP = 32, 28
# Height, width: those of canvases and others; a short side of 32 is only cut.
SHAPES = {
    "4:3": (32, 42),
    "upright": (57, 32),
    "square": (32, 32),
    "16:9": (48, 85),
    "2.4:1": (32, 76),
    "longer than three crops": (32, 120),
    "upright and long": (130, 40),
    "enlarged": (20, 27),
}


def frames_of(height: int, width: int, count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    small = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(f).resize((width, height))) for f in small]
    )


def by_hand(frame: np.ndarray, crops: int) -> list[np.ndarray]:
    """Resizes the frame, then cuts, as the official code does."""
    height, width = frame.shape[:2]
    scale = min(height, width) / RESIZE
    size = int(width / scale + 1e-6), int(height / scale + 1e-6)
    box = (0, 0, size[0] * scale, size[1] * scale)
    small = Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR, box=box)
    small = np.asarray(small)
    room_x, room_y = width / scale - CROP, height / scale - CROP
    centre = round(room_x / 2), round(room_y / 2)
    right, bottom = size[0] - CROP, size[1] - CROP
    if crops == 1:
        corners = [centre]
    elif crops == 3 and width >= height:
        corners = [(x, centre[1]) for x in (0, centre[0], right)]
    elif crops == 3:
        corners = [(centre[0], y) for y in (0, centre[1], bottom)]
    elif width >= height:
        corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), centre]
    else:
        corners = [(0, 0), (0, bottom), (right, 0), (right, bottom), centre]
    found = [small[y : y + CROP, x : x + CROP] for x, y in corners]
    return found + [picture[:, ::-1] for picture in found] * (crops == 10)


def batch_of(shapes, crops) -> tuple[dict, list]:
    laid, sources = [], []
    for shape in shapes:
        frames = frames_of(*shape)
        laid.append(eval_views.lay(frames, resize=RESIZE, crop=CROP, crops=crops))
        sources.append(frames)
    _, widths = eval_views.size(resize=RESIZE, crop=CROP, crops=crops)
    videos = [canvas.frames[None] for canvas in laid]
    return {
        "video": eval_views.widen(videos, widths),
        "places": np.stack([canvas.places for canvas in laid]),
        "swapped": np.stack([canvas.swapped for canvas in laid]),
    }, sources


@pytest.mark.parametrize("crops", [1, 3, 10])
def test_views_are_those_of_resizing_and_cutting(crops):
    batch, sources = batch_of(SHAPES.values(), crops)
    assert batch["video"].shape[-3] == (RESIZE if crops == 10 else CROP)
    for number in range(crops):
        got = eval_views.cut(
            *map(jnp.asarray, batch.values()), number, crop=CROP, crops=crops
        )
        for name, row, frames in zip(SHAPES, np.asarray(got), sources, strict=True):
            wanted = np.stack([by_hand(frame, crops)[number] for frame in frames])
            difference = np.abs(row.astype(int) - wanted)
            # Pillow rounds between its two passes, and a swapped frame's are swapped.
            assert difference.max() <= 1, (name, number)
            if name in ("4:3", "square", "2.4:1"):
                assert difference.max() == 0, (name, number)


def test_mirror_images_of_flow_move_the_other_way():
    batch, _ = batch_of([(32, 42)], 10)
    batch["video"] = batch["video"][..., :2]
    seen, mirrored = (
        eval_views.cut(
            *map(jnp.asarray, batch.values()),
            number,
            crop=CROP,
            crops=10,
            modality="flow",
        )[:, :, :, :, :]
        for number in (4, 9)
    )
    np.testing.assert_array_equal(mirrored[..., 0], 255 - seen[..., ::-1, 0])
    np.testing.assert_array_equal(mirrored[..., 1], seen[..., ::-1, 1])


def test_canvases_are_as_narrow_as_the_batch_allows():
    narrow, _ = batch_of([(32, 42), (42, 32)], 3)
    wide, _ = batch_of([(32, 42), (32, 120)], 3)
    _, widths = eval_views.size(resize=RESIZE, crop=CROP, crops=3)
    assert widths == (48, 64, 84)
    assert narrow["video"].shape[-2] == 48 and wide["video"].shape[-2] == 84
    # A single crop is all that is shipped.
    single, _ = batch_of([(32, 120)], 1)
    assert single["video"].shape[-3:] == (CROP, CROP, 3)


def test_one_program_cuts_all_views_on_every_device(devices):
    batch, _ = batch_of(SHAPES.values(), 3)
    batch = shard_batch(devices, batch)

    def cut(batch, number):
        parts = batch["video"], batch["places"], batch["swapped"]
        return eval_views.cut(*parts, number, crop=CROP, crops=3)

    program = jax.jit(cut)
    for number in range(3):
        program(batch, number)
    assert program._cache_size() == 1
    text = program.lower(batch, 0).compile().as_text()
    for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert word not in text


def test_a_whole_frame_is_cut_to_multiples_of_the_networks_stride():
    frames = frames_of(64, 102)
    canvas = eval_views.lay(frames, resize=64, crop=64, crops=WHOLE)
    np.testing.assert_array_equal(canvas.frames, frames[:, :, 3:99])
    upright = eval_views.lay(
        frames.swapaxes(1, 2).copy(), resize=64, crop=64, crops=WHOLE
    )
    assert upright.frames.shape[1:3] == (96, 64) and not upright.swapped


def test_whole_frames_come_in_batches_of_one_size():
    shapes = [(16, 32), (32, 16), (16, 32), (16, 32), (16, 50), (32, 16)]
    videos = [
        encoding.encode(np.full((4, *shape, 3), 20 * i, np.uint8))
        for i, shape in enumerate(shapes)
    ]
    records = [
        Record(video=data, label=i % 3, id=f"clip {i}", num_frames=4, fps=12.0)
        for i, data in enumerate([*videos, b"no video"])
    ]
    split = split_of(records)
    with eval_batches(
        split, VIEW, clips=2, crops=WHOLE, batch_size=2, workers=2
    ) as batches:
        got = list(batches)
    found = {}
    for batch in got:
        shape = batch["video"].shape
        assert shape[:3] == (2, 2, VIEW.num_frames)
        for row, index in enumerate(batch["index"].tolist()):
            if index >= 0:
                found[index] = shape[3:5], batch["id"][row], batch["label"][row]
    # Of a short side of 16 the unit is 16.
    sizes = [(16, 32), (32, 16), (16, 32), (16, 32), (16, 48), (32, 16)]
    assert found == {
        index: (size, f"clip {index}", index % 3) for index, size in enumerate(sizes)
    }
    assert [name for name, _ in batches.failures] == ["clip 6"]
    assert len(got) == 4  # (16, 32) twice, (32, 16), (16, 48)
