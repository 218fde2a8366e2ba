"""A record keeps a clip frame by frame, or an error names what it cannot keep.

Frames are told apart by a number in the picture (`numbered_videos`).
"""

import gc
import io
import os
import pathlib
import socket
import weakref

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import ExifTags, Image

from tests.support.numbered_videos import (
    audio,
    encoded,
    number,
    numbers,
    picture,
    trimmed,
    with_matrix,
)
from vidshift.data.annotations.clip import Clip
from vidshift.data.media import encoding, images, player, video
from vidshift.data.media.video import VideoError
from vidshift.data.records import storage
from vidshift.data.records.storage import STORAGES, store

ID = "shelf/7"
EVERY_STORAGE = pytest.mark.parametrize("stored_as", STORAGES)


@pytest.fixture
def clip_of(tmp_path):
    """Writes a file, or a folder of files, and makes a clip of it."""

    def make(content, suffix="mp4", **fields) -> Clip:
        path = tmp_path / f"a clip.{suffix}"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.mkdir()
            for name, data in content.items():
                (path / name).write_bytes(data)
        return Clip(ID, path, ("train",), 0, **fields)

    return make


def shown(stored: storage.Stored) -> np.ndarray:
    """All frames of a record, of which training may ask for any."""
    info = video.probe(stored.video)
    assert info.num_frames == stored.num_frames
    frames = video.decode(stored.video, range(stored.num_frames))
    assert (info.height, info.width) == frames.shape[1:3]
    some = [stored.num_frames - 1, stored.num_frames // 2]
    np.testing.assert_array_equal(video.decode(stored.video, some), frames[some])
    return frames


def fails(clip: Clip, stored_as: str = "fast") -> str:
    with pytest.raises(VideoError) as error:
        store(clip, stored_as)
    with pytest.raises(VideoError) as counted:
        storage.count(clip)
    for text in (str(error.value), str(counted.value)):
        assert text.startswith(f"{ID}: ") and text.count(ID) == 1 and "\n" not in text
    return str(error.value).removeprefix(f"{ID}: ")


# ---------------------------------------------------------- codecs, containers
B_FRAMES = {"g": "12", "bf": "3"}
ALT_REFS = {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}
QUIET = {"x265-params": "log-level=none"}


def x264(**params) -> dict[str, str]:
    params = {"bframes": 3, "b-adapt": 0, "scenecut": 0, **params}
    text = ":".join(f"{name}={value}" for name, value in params.items())
    return {"preset": "ultrafast", "x264-params": text}


LONG, SHORT = x264(keyint=250), x264(keyint=40)
OPEN = x264(keyint=30, **{"open-gop": 1})
REFRESHED = x264(keyint=30, bframes=2, **{"intra-refresh": 1})


@EVERY_STORAGE
def test_frames_that_are_far_apart_in_time_are_neither_lost_nor_doubled(
    clip_of, stored_as
):
    times = [0, 40, 41, 50, 700, 701, 702, 2000, 2010, 2020, 9000, 9001, 9040, 20000]
    clip = clip_of(encoded("libx264", "mp4", 14, times=times, **B_FRAMES))
    assert numbers(shown(store(clip, stored_as))) == list(range(14))


@EVERY_STORAGE
@pytest.mark.parametrize(("skip", "frames"), [(5, 35), (0, 9), (15, 10)])
def test_what_an_edit_list_hides_is_not_stored(clip_of, skip, frames, stored_as):
    clip = clip_of(trimmed(encoded("libx264", "mp4", 40, **B_FRAMES), skip, frames))
    assert numbers(shown(store(clip, stored_as))) == list(range(skip, skip + frames))


def test_a_trimmed_file_that_is_cut_short_is_an_error(clip_of, tmp_path):
    path = str(tmp_path / "original.mp4")
    pictures = encoded("libx264", "mp4", 40, **B_FRAMES)
    with (
        av.open(io.BytesIO(pictures)) as source,
        av.open(path, "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = trimmed(pathlib.Path(path).read_bytes(), 5, 20)
    assert numbers(shown(store(clip_of(data), "fast"))) == list(range(5, 25))
    clip = Clip(ID, pathlib.Path(path), ("train",), 0)
    clip.path.write_bytes(data[: -len(data) // 8])
    assert "cut short" in fails(clip)


def test_a_clock_is_no_frame_rate(clip_of):
    clip = clip_of(encoded("libx264", "matroska", 5, fps=5000, bf="0"))
    stored = store(clip, "fast")
    assert stored.fps == 0
    assert video.probe(stored.video).fps == encoding.UNKNOWN_FPS
    assert numbers(shown(stored)) == list(range(5))


def packets_of(data: bytes) -> list[av.Packet]:
    with av.open(io.BytesIO(data)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


@EVERY_STORAGE
@pytest.mark.parametrize(("container", "place"), [("mp4", 5), ("matroska", 8)])
def test_a_frame_that_a_decoder_passes_over_in_silence_is_missed(
    clip_of, container, place, stored_as
):
    data = bytearray(encoded("libx265", container, 12, **QUIET))
    packet = bytes(packets_of(bytes(data))[place])
    # Of the one unit, after its length, the kind: now no picture (H.265, table 7-1).
    data[data.find(packet) + 4] = 35 << 1
    assert fails(clip_of(bytes(data)), stored_as).startswith("damaged at 0.")


def test_a_file_may_begin_between_two_keyframes(clip_of):
    data = encoded("libx264", "matroska", 60, **OPEN)
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as source,
        av.open(file, "w", format="matroska") as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        # An open group's frames before its keyframe are predicted from those left out.
        packets = list(source.demux(video=0))
        second = [i for i, packet in enumerate(packets) if packet.is_keyframe][1]
        for packet in packets[second:]:
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    for stored_as in STORAGES:
        stored = store(clip_of(file.getvalue()), stored_as)
        found = numbers(video.decode(stored.video, range(stored.num_frames)))
        assert found == list(range(found[0], 60)) and 25 < found[0] <= 30


def test_damage_of_frames_without_times_is_named(clip_of):
    data = bytearray(encoded("libx264", "h264", 12, g="12", bf="0"))
    data[-5] ^= 4
    assert fails(clip_of(bytes(data), "h264")) == "damaged"


# -------------------------------------------------------- pictures, as they are
@pytest.mark.parametrize(
    ("codec", "container", "pixels", "options"),
    [
        ("libx264", "mp4", "yuv420p10le", B_FRAMES),
        ("libx265", "mp4", "yuv420p10le", QUIET),
        ("ffv1", "matroska", "yuv420p10le", {}),
        ("prores_ks", "mov", "yuv422p10le", {}),
        ("libx264", "mp4", "yuvj420p", {}),  # full range
        ("libx264", "mp4", "gray", {"color_range": "pc"}),
        ("libx264", "mp4", "yuv444p", {}),
        ("libx264rgb", "matroska", "rgb24", {}),
        ("rawvideo", "avi", "bgr24", {}),
    ],
)
@EVERY_STORAGE
def test_levels_are_kept_whatever_the_pixels(
    clip_of, codec, container, pixels, options, stored_as
):
    clip = clip_of(encoded(codec, container, 6, pixels=pixels, **options))
    frames = shown(store(clip, stored_as)).astype(int)
    assert numbers(frames) == list(range(6))
    size = frames.shape[1:3]
    source = np.stack([picture(number, *size) for number in range(6)]).astype(int)
    # Within the cells, whose edges a codec smears.
    assert np.abs(frames - source)[:, 4:12, 4:12].max() <= 6
    assert np.abs(frames - source).mean() <= 6


@pytest.mark.parametrize("colours", ["ITU601", "ITU709"])
@EVERY_STORAGE
def test_colours_are_kept(clip_of, colours, stored_as):
    frame = np.zeros((64, 96, 3), np.uint8)
    for place, colour in enumerate([(200, 40, 40), (40, 200, 40), (40, 40, 200)]):
        frame[:, 32 * place : 32 * place + 32] = colour
    clip = clip_of(encoded("libx264", "mp4", [frame] * 3, colours=colours, crf="5"))
    for found in shown(store(clip, stored_as)).astype(int):
        middle = found[8:-8, 8::32], frame[8:-8, 8::32]
        assert np.abs(middle[0] - middle[1]).max() <= 8


@pytest.mark.parametrize(
    "matrix",
    [
        (0, 1, -1, 0),  # a quarter turn clockwise
        (-1, 0, 0, -1),
        (0, -1, 1, 0),
        (-1, 0, 0, 1),  # left and right, as a mirror
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
        (0, 0, 0, 0),  # no matrix at all
    ],
)
@EVERY_STORAGE
def test_pictures_are_turned_and_mirrored_as_a_player_would(clip_of, matrix, stored_as):
    a, b, c, d = matrix

    def before(shown_picture):
        """Returns the picture to store."""
        if b or c:
            flipped = shown_picture[:: b or 1, :: c or 1]
            return np.ascontiguousarray(flipped.swapaxes(0, 1))
        return np.ascontiguousarray(shown_picture[:: d or 1, :: a or 1])

    pictures = [before(picture(number)) for number in range(6)]
    data = with_matrix(encoded("libx264", "mp4", pictures, **B_FRAMES), *matrix)
    frames = shown(store(clip_of(data), stored_as))
    assert frames.shape == (6, 48, 64, 3)
    assert numbers(frames) == list(range(6))


@pytest.mark.parametrize(
    ("height", "width", "fast", "frames"),
    [
        (51, 67, (52, 68), (51, 67)),  # even sides for `fast`
        (255, 301, (256, 300), (255, 301)),
        (257, 401, (256, 400), (256, 399)),
        (640, 360, (456, 256), (455, 256)),
        (1, 64, (2, 64), (1, 64)),
    ],
)
def test_the_short_side_is_256_at_most(clip_of, height, width, fast, frames):
    shade = np.linspace(40, 220, height * width * 3).reshape(height, width, 3)
    data = encoded("ffv1", "matroska", [shade.astype(np.uint8)] * 2, pixels="bgr0")
    clip = clip_of(data)
    sides = {"fast": fast, "frames": frames, "copy": (height, width)}
    for stored_as, expected in sides.items():
        found = shown(store(clip, stored_as))
        assert found.shape[1:3] == expected
        if expected[0] > 2:
            assert abs(found.mean() - shade.mean()) < 2


def test_a_large_picture_is_scaled_whole_and_turned(clip_of):
    pictures = [np.rot90(picture(n, 540, 360)).copy() for n in range(3)]
    data = with_matrix(encoded("libx264", "mp4", pictures), 0, 1, -1, 0)
    clip = clip_of(data)
    for stored_as in ("fast", "frames"):
        frames = shown(store(clip, stored_as))
        assert frames.shape[1:3] == (384, 256)
        assert numbers(frames) == [0, 1, 2]


def turned_by_the_stream(data: bytes, degrees: int) -> bytes:
    """H.264 that says itself how it is to be turned."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as source,
        av.open(file, "w", format="mpegts") as out,
    ):
        stream = source.streams.video[0]
        say = f"h264_metadata=display_orientation=insert:rotate={degrees}"
        turn = BitStreamFilterContext(say, stream)
        target = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            for changed in turn.filter(packet if packet.size else None):
                changed.stream = target
                out.mux(changed)
    return file.getvalue()


def of_numbers(first: int, last: int, *, sideways: bool) -> bytes:
    """Frames that are to be shown upright, with one keyframe."""
    quarters = -1 if sideways else 0
    pictures = [np.rot90(picture(n), quarters).copy() for n in range(first, last)]
    data = encoded("libx264", "mpegts", pictures, bf="3")
    # Counter-clockwise, as H.264 has it.
    return turned_by_the_stream(data, 90) if sideways else data


def part(first: int, *size: int, **options) -> bytes:
    """Eight frames of a stream that another may follow, as MPEG-TS does."""
    pictures = [picture(n, *size) for n in range(first, first + 8)]
    return encoded("libx264", "mpegts", pictures, **B_FRAMES, **options)


def from_time(first: int, begin: int) -> bytes:
    return part(first, times=[begin + 40 * i for i in range(8)])


SMALL_THEN_LARGE = part(0, 48, 64) + part(8, 96, 96)
JOINED = {
    # Files that were downloaded in parts, whose counters begin anew in each.
    "segments": part(0) + part(8) + part(16),
    "times that go back": from_time(0, 1000) + from_time(8, 820) + from_time(16, 1110),
    "another size": SMALL_THEN_LARGE,
    "turned later": of_numbers(0, 8, sideways=False) + of_numbers(8, 16, sideways=True),
    "turned first": of_numbers(0, 8, sideways=True) + of_numbers(8, 16, sideways=False),
}


UNCHANGED = ("segments", "times that go back")


@pytest.mark.parametrize(
    ("case", "stored_as"),
    [(c, s) for c in JOINED for s in STORAGES if s != "copy" or c in UNCHANGED],
)
def test_segments_that_were_put_together_are_stored_whole(clip_of, case, stored_as):
    frames = shown(store(clip_of(JOINED[case], "ts"), stored_as))
    assert frames.shape == (24 if case in UNCHANGED else 16, 48, 64, 3)
    assert numbers(frames) == list(range(len(frames)))


def test_a_size_that_changes_cannot_be_copied(clip_of):
    with pytest.raises(VideoError, match=f"^{ID}: the frame size changes.*`fast`"):
        store(clip_of(SMALL_THEN_LARGE, "ts"), "copy")


def test_a_turn_that_a_keyframe_says_holds_for_the_frames_after_it(clip_of):
    clip = clip_of(of_numbers(0, 30, sideways=True), "ts")
    for stored_as in STORAGES:
        assert numbers(shown(store(clip, stored_as))) == list(range(30))
    assert numbers(video.decode(clip.path, [29, 17, 4])) == [29, 17, 4]


# ------------------------------------------------------------------------ cuts
HEVC = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=30:open-gop=1"}
CUT_FILES = {
    "mp4, one keyframe": ("libx264", "mp4", 25, LONG),
    "mp4": ("libx264", "mp4", 25, SHORT),
    "mp4, open groups": ("libx264", "mp4", 25, OPEN),
    "mp4, a frame a second": ("libx264", "mp4", 1, SHORT),
    "mp4, intra refresh": ("libx264", "mp4", 1, REFRESHED),
    "mkv, one keyframe": ("libx264", "matroska", 25, LONG),
    "mkv, open groups": ("libx264", "matroska", 25, OPEN),
    "ts, one keyframe": ("libx264", "mpegts", 25, LONG),
    "ts, intra refresh": ("libx264", "mpegts", 25, REFRESHED),
    "avi, mpeg4": ("mpeg4", "avi", 25, {"g": "50", "bf": "2"}),
    "webm": ("libvpx-vp9", "webm", 25, {"g": "50", **ALT_REFS}),
    "webm, vp8": ("libvpx", "webm", 25, {"g": "30", **ALT_REFS}),
    "mp4, hevc": ("libx265", "mp4", 25, HEVC),
    "mkv, hevc": ("libx265", "matroska", 25, HEVC),
}
# Frames from (that one is in) and to (that one is not); None: to the end.
CUTS = [(0, 25), (1, 26), (24, 26), (55, 75), (83, 85), (101, None), (119, None)]


@pytest.mark.parametrize("case", CUT_FILES)
def test_start_and_end_cut_to_the_frame(clip_of, case):
    codec, container, fps, options = CUT_FILES[case]
    data = encoded(codec, container, 120, fps=fps, **options)
    for first, last in CUTS:
        clip = clip_of(data, start=first / fps, end=last and last / fps)
        assert numbers(storage.Pictures(clip)) == list(range(first, last or 120))


@pytest.mark.parametrize("case", ["mp4", "mkv, open groups", "webm, vp8", "mkv, hevc"])
def test_a_cut_decodes_from_the_keyframe_before_it(clip_of, monkeypatch, case):
    codec, container, fps, options = CUT_FILES[case]
    options = options | ({"x264-params": "keyint=30"} if codec == "libx264" else {})
    clip = clip_of(encoded(codec, container, 180, fps=fps, **options), start=155 / fps)
    assert storage.count(clip) == 25  # its index is kept
    decoded, plain = [], video.container.decoded

    def watched(stream, packets, label, **more):
        seen = (decoded.append(packet) or packet for packet in packets)
        return plain(stream, seen, label, **more)

    monkeypatch.setattr(video.container, "decoded", watched)
    assert storage.count(clip) == 25
    assert 25 <= len(decoded) <= 65


@pytest.mark.parametrize(
    ("hidden", "start", "end", "expected"),
    [
        # Between two frames it begins with the later one.
        (0, 10.4 / 25, 20.6 / 25, range(11, 21)),
        # Time counts from the first frame that is shown.
        (7, 10 / 25, 20 / 25, range(17, 27)),
    ],
)
def test_where_a_cut_begins(clip_of, hidden, start, end, expected):
    data = trimmed(encoded("libx264", "mp4", 60, **SHORT), hidden, 45)
    stored = store(clip_of(data, start=start, end=end), "frames")
    assert numbers(shown(stored)) == list(expected)


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libx264", "mp4"),
        ("libx264", "matroska"),
        ("libx264", "mpegts"),
        ("mpeg4", "avi"),
    ],
)
def test_a_start_beyond_the_end_is_an_error(clip_of, codec, container):
    data = encoded(codec, container, 30, bf="2")
    for start in (30 / 25, 100.0, 1e30):
        assert fails(clip_of(data, start=start)) == f"no frame from {start} s on"
    message = fails(clip_of(data, start=2.0, end=3.0))
    assert message == "no frame from 2.0 s to 3.0 s"


# ------------------------------------------------------------ folders of images
def file_of(shown_picture, kind="JPEG", mode="RGB", **options) -> bytes:
    file = io.BytesIO()
    options = {"quality": 95, **options} if kind == "JPEG" else options
    Image.fromarray(shown_picture).convert(mode).save(file, kind, **options)
    return file.getvalue()


def gradient(height: int, width: int, number: int) -> np.ndarray:
    """Colours that a codec keeps, of which no two sides are alike."""
    y, x = np.mgrid[:height, :width]
    channels = [y * 250 // height, x * 250 // width, 0 * x + 20 * number]
    return np.stack(channels, axis=-1).astype(np.uint8)


JPEGS = {
    "plain": {},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "not yuv": {"keep_rgb": True},
    "restarts": {"restart_marker_blocks": 2},
}


@pytest.mark.parametrize("stored_as", ["copy", "frames"])
@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_jpegs_are_kept_to_the_byte(clip_of, options, stored_as):
    files = {f"{n}.jpg": file_of(gradient(61, 83, n), **options) for n in range(3)}
    clip = clip_of(files, "frames", fps=12.5)
    stored = store(clip, stored_as)
    assert all(data in stored.video for data in files.values())
    assert stored.num_frames == 3 and stored.fps == 12.5
    for found, data in zip(shown(stored).astype(int), files.values(), strict=True):
        (own,) = images.decode(data, [0])
        # FFmpeg and libjpeg smooth halved colours differently.
        assert np.abs(found - own).mean() < 1.5 and np.abs(found - own).max() <= 8


@EVERY_STORAGE
def test_images_are_in_the_order_of_their_numbers(clip_of, stored_as):
    files = {f"img_{n}.jpg": file_of(picture(n)) for n in range(8, 12)}
    files |= {f"img_{n:03d}.PNG": file_of(picture(n), "PNG") for n in range(12, 14)}
    files |= {"img_7.JPEG": file_of(picture(7))}
    files |= {".img_1.jpg": file_of(picture(1)), "notes 2.txt": b"no image"}
    clip = clip_of(files, "frames")
    stored = store(clip, stored_as)
    assert numbers(shown(stored)) == list(range(7, 14))
    assert storage.count(clip) == 7


@pytest.mark.parametrize(
    ("sizes", "fast", "frames"),
    [
        # All become as large as the first; large ones are scaled down.
        ([(48, 64), (96, 64), (51, 67), (300, 400)], (48, 64), (48, 64)),
        ([(300, 400)] * 3, (256, 342), (256, 341)),
    ],
)
@EVERY_STORAGE
def test_sizes_of_images(clip_of, sizes, fast, frames, stored_as):
    files = {f"{n}.jpg": file_of(picture(n, *size)) for n, size in enumerate(sizes)}
    found = shown(store(clip_of(files, "frames"), stored_as))
    assert found.shape[1:3] == (fast if stored_as == "fast" else frames)
    assert numbers(found) == list(range(len(sizes)))


@EVERY_STORAGE
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_that_are_turned_or_mirrored(clip_of, orientation, stored_as):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    # Orientations are undone by themselves, but for quarter turns.
    opposite = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    undo = (images.TURNS | opposite).get(orientation)
    taken = Image.fromarray(picture(5))
    taken = taken if undo is None else taken.transpose(undo)
    file = io.BytesIO()
    taken.save(file, "JPEG", quality=95, exif=exif)
    stored = store(clip_of({"1.jpg": file.getvalue()}, "frames"), stored_as)
    (frame,) = shown(stored)
    assert frame.shape == (48, 64, 3)
    assert number(frame) == 5


@EVERY_STORAGE
def test_an_image_by_the_wrong_name_is_read(clip_of, stored_as):
    files = {f"{n}.jpg": file_of(picture(n), "PNG" if n else "JPEG") for n in range(3)}
    assert numbers(shown(store(clip_of(files, "frames"), stored_as))) == [0, 1, 2]


@EVERY_STORAGE
def test_a_damaged_image_is_named(clip_of, stored_as):
    files = {f"{n}.jpg": file_of(picture(n)) for n in range(3)}
    files["1.jpg"] = files["1.jpg"][:-300]
    assert fails(clip_of(files, "frames"), stored_as).startswith("1.jpg: no readable")


def test_a_folder_is_cut_by_its_frame_rate(clip_of):
    files = {f"{n}.jpg": file_of(picture(n)) for n in range(20)}
    clip = clip_of(files, "frames", fps=10.0, start=0.5, end=1.2)
    assert numbers(shown(store(clip, "frames"))) == list(range(5, 12))
    beyond = Clip(ID, clip.path, ("train",), 0, fps=10.0, start=2.0)
    assert "no images" in fails(beyond)
    unknown = Clip(ID, clip.path, ("train",), 0, start=1.0)
    assert "frame rate is not known" in fails(unknown)


# --------------------------------------------------------- what is not a video
def without_frames() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="avi") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        out.start_encoding()
    return file.getvalue()


NO_VIDEOS = {
    "empty": (b"", "empty file"),
    "text": (b"<html>404 Not Found</html>\n" * 50, "not a video"),
    "audio": (audio(), "no video stream"),
    "no frames": (without_frames(), ""),
    "no codec": (encoded("mpeg4", "avi", 5).replace(b"FMP4", b"ZZZZ"), "no decoder"),
    "a list": (b"ffconcat version 1.0\nfile other.mp4\n", "not a video"),
}


@EVERY_STORAGE
@pytest.mark.parametrize(("data", "reason"), NO_VIDEOS.values(), ids=NO_VIDEOS)
def test_what_is_not_a_video_is_named(clip_of, tmp_path, data, reason, stored_as):
    (tmp_path / "other.mp4").write_bytes(encoded("libx264", "mp4", 3))
    assert reason in fails(clip_of(data), stored_as)


@EVERY_STORAGE
def test_what_is_not_there_is_named(tmp_path, stored_as):
    gone = Clip(ID, tmp_path / "gone.mp4", ("train",), 0)
    assert "not there" in fails(gone, stored_as)
    (tmp_path / "empty").mkdir()
    assert "no images" in fails(Clip(ID, tmp_path / "empty", ("train",), 0), stored_as)
    too_long = Clip(ID, tmp_path / ("x" * 300), ("train",), 0)
    assert "cannot be read" in fails(too_long, stored_as)


@EVERY_STORAGE
def test_what_vanishes_is_named(clip_of, monkeypatch, stored_as):
    clip = clip_of(encoded("libx264", "mp4", 3))
    clip.path.unlink()
    # It was there when it was asked for, and when its kind was.
    monkeypatch.setattr(pathlib.Path, "exists", lambda self: True)
    fails(clip, stored_as)
    monkeypatch.setattr(os.path, "isfile", lambda path: True)
    fails(clip, stored_as)


def test_no_address_is_called(clip_of):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/clip.ts"
        texts = {
            "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n",
            "mp4": f"ffconcat version 1.0\nfile {address}\n",
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        }
        for suffix, text in texts.items():
            fails(clip_of(text.encode(), suffix))
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_title_in_another_encoding_is_no_error(clip_of):
    data = encoded("mpeg4", "avi", 5, title="Landmarks")
    clip = clip_of(data.replace(b"Landmarks", "Übermäßig".encode("latin-1")), "avi")
    assert numbers(shown(store(clip, "copy"))) == list(range(5))


def test_a_name_that_looks_like_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = Clip(ID, pathlib.Path("http:two %d.mp4"), ("train",), 0)
    clip.path.write_bytes(encoded("libx264", "mp4", 5))
    assert numbers(shown(store(clip, "fast"))) == list(range(5))


@pytest.mark.parametrize(
    ("stored_as", "side", "reason"),
    [("fast", 17000, "cannot be encoded"), ("frames", 66000, "too large for a JPEG")],
)
def test_what_the_encoder_refuses_is_named(clip_of, stored_as, side, reason):
    line = file_of(np.zeros((16, side, 3), np.uint8), "PNG")
    with pytest.raises(VideoError, match=f"^{ID}: .*{reason}"):
        store(clip_of({"1.png": line}, "frames"), stored_as)


# ------------------------------------------------------------------ long videos
@EVERY_STORAGE
def test_what_is_too_long_for_a_record_is_named(clip_of, monkeypatch, stored_as):
    video_file = clip_of(encoded("libx264", "mp4", 60))
    files = {f"{n}.jpg": file_of(picture(n)) for n in range(30)}
    folder = clip_of(files, "frames")
    store(video_file, stored_as), store(folder, stored_as)
    monkeypatch.setattr(encoding, "MOST_BYTES", 2000)
    for clip in (video_file, folder):
        with pytest.raises(VideoError, match=f"^{ID}: too long for a record"):
            store(clip, stored_as)


@pytest.mark.slow
@EVERY_STORAGE
def test_few_frames_of_a_long_video_are_held(clip_of, monkeypatch, stored_as):
    alive, most = [], 0
    plain = player.Player.show

    def watched(*args, **options):
        nonlocal alive, most
        made = plain(*args, **options)
        owner = made if made.base is None else made.base
        while isinstance(owner, np.ndarray) and isinstance(owner.base, np.ndarray):
            owner = owner.base
        alive = [ref for ref in alive if ref() is not None] + [weakref.ref(owner)]
        most = max(most, len(alive))
        return made

    clip = clip_of(encoded("libx264", "mp4", 500, preset="ultrafast", g="60"))
    monkeypatch.setattr(player.Player, "show", watched)
    gc.collect()
    assert store(clip, stored_as).num_frames == 500
    assert 1 <= most <= 4
