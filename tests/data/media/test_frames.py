"""Packets are not frames: every reader gives the frames of a plain decoding.

A matrix of containers, codecs and reasons (`frame_matrix`). For each file: counting,
decoding, cuts by time, the three storages and streaming.
"""

import dataclasses
import io
import logging
import pathlib
import tempfile
import types
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tests.support import frame_matrix, paff
from tests.support.frame_matrix import FRAMES, REASONS, Cell, cells, number_of, plain
from tests.support.numbered_videos import encoded, numbers, picture, with_matrix
from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.media import frame_index, h264, images, pixel_aspect, video
from vidshift.data.media.video import VideoError
from vidshift.data.preparation import build
from vidshift.data.records import storage
from vidshift.data.records.storage import STORAGES, store
from vidshift.data.sources.prepared import open_split
from vidshift.data.views.view import View, clip_from_video, eval_clips, train_clip
from vidshift.stream import session, sources


def test_every_combination_that_can_exist_is_made():
    numbers = [len(cells(reason)) for reason in REASONS]
    assert sum(numbers) == 289 and min(numbers) == 5


def packets_of(made: frame_matrix.Made) -> list[av.Packet]:
    with av.open(io.BytesIO(made.data)) as container:
        stream = container.streams.video[made.stream]
        return [packet for packet in container.demux(stream) if packet.size]


def assert_tells(cell: Cell, made: frame_matrix.Made) -> None:
    """The file is of the kind that it should be: its packets mislead."""
    packets = packets_of(made)
    frames = len(made.numbers)
    match cell.reason:
        case "no offsets":
            assert [p.pts for p in packets] == sorted(p.pts for p in packets)
        case "edit list":
            assert frames == sum(not p.is_discard for p in packets) < FRAMES
        case "fields apart":
            assert len(packets) == 2 * frames
        case "hidden frames" if cell.codec == "libvpx":
            assert len(packets) > frames
        case "hidden frames" if cell.codec == "libvpx-vp9":
            # A hidden picture shares the next one's packet.
            assert any(bytes(packet)[-1] & 0xE0 == 0xC0 for packet in packets)
        case "null frames":
            assert packets[-1].dts + 1 > len(packets) == frames
        case "begins mid-group":
            assert not packets[0].is_keyframe
        case "pixel aspect":
            # MPEG-1 has a table of some.
            aspect = video.probe(made.data).pixel_aspect
            assert aspect == pytest.approx(4 / 3, abs=0.03)
        case "still first" | "still last":
            with av.open(io.BytesIO(made.data)) as container:
                assert len(container.streams.video) == 2


@pytest.mark.parametrize("reason", REASONS)
def test_frames_are_those_of_a_plain_decoding(reason, tmp_path, request):
    storages = tuple(STORAGES)
    exhaustive = request.config.getoption("exhaustive")
    for place, cell in enumerate(cells(reason, sample=not exhaustive)):
        if not exhaustive:
            storages = (tuple(STORAGES)[place % len(STORAGES)],)
        made = REASONS[reason](cell)
        path = tmp_path / f"{cell.codec}.{cell.container}"
        path.write_bytes(made.data)
        try:
            assert_tells(cell, made)
            # Frames that wait in a decoder at a part's end have not the latest times.
            parts = [(0, n) for n in range(1, 10)] if reason == "no offsets" else []
            assert_read(path, made, storages, parts)
        except (AssertionError, VideoError) as error:
            raise AssertionError(f"{cell}: {error}") from error


def assert_read(
    path, made: frame_matrix.Made, storages: tuple[str, ...], more_parts=()
) -> None:
    expected = np.stack(plain(made))
    assert [number_of(shown) for shown in expected] == made.numbers
    info = video.probe(path)
    assert info.num_frames == len(expected)
    rate = (len(made.times) - 1) / made.times[-1]
    # Times are rounded to a millisecond in some containers.
    assert info.fps == pytest.approx(rate, rel=2e-3)
    np.testing.assert_array_equal(video.decode(path, range(len(expected))), expected)
    for some in ([len(expected) - 1], [7, 2, 7], [len(expected) // 2, 0]):
        np.testing.assert_array_equal(video.decode(made.data, some), expected[some])
    for first, last in ((2, 9), (5, 7), (len(expected) - 2, None), *more_parts):
        clip = clip_of(path, start=made.times[first], end=last and made.times[last])
        cut = [number_of(shown) for shown in storage.Pictures(clip)]
        assert cut == made.numbers[first:last], (first, last)
    streamed = list(sources.timed(video.frames(path)))
    np.testing.assert_array_equal([frame.show() for frame in streamed], expected)
    times = [frame.time for frame in streamed]
    np.testing.assert_allclose(times, made.times, atol=2e-3)
    for name in storages:
        stored = store(clip_of(path), name)
        assert stored.num_frames == len(expected) == storage.count(clip_of(path))
        assert name != "copy" or stored.video == made.data
        assert stored.fps == pytest.approx(rate, rel=2e-3)
        frames = video.decode(stored.video, range(stored.num_frames))
        assert [number_of(shown) for shown in frames] == made.numbers, name


OPEN_GROUPS = {
    "libx264": {"preset": "ultrafast", "bf": "2", "x264-params": "open-gop=1:keyint=8"},
    "libx265": {
        "preset": "ultrafast",
        "x265-params": "log-level=none:keyint=8:bframes=2:open-gop=1",
    },
}


def without_offsets(data: bytes, begin: int, lost: int | None = None) -> bytes:
    """From a packet on, at times of decoding; one may be no picture to a decoder."""

    def stamp(place: int, packet: av.Packet) -> bool:
        packet.time_base, packet.duration = Fraction(1, frame_matrix.FPS), 1
        packet.pts = packet.dts = place - begin
        if place == lost:
            # The kind of its one unit (H.265, table 7-1).
            silent = bytearray(bytes(packet))
            silent[4] = 35 << 1
            packet.update(bytes(silent))
        return place >= begin

    return frame_matrix.remuxed(data, "mp4", stamp)


@pytest.mark.parametrize("codec", OPEN_GROUPS)
def test_a_file_without_offsets_may_begin_mid_group(codec):
    """Pictures after its first keyframe that are shown before it have no frame."""
    source = encoded(codec, "mp4", FRAMES, **OPEN_GROUPS[codec])
    data = without_offsets(source, 3)
    shown = [number_of(f) for f in plain(frame_matrix.Made(data, [], []))]
    assert shown == list(range(shown[0], FRAMES)) and shown[0] > 3
    streamed = sources.timed(video.frames(data))
    assert numbers(frame.show() for frame in streamed) == shown
    times = frame_index.index_of(data).times
    for last in range(1, len(shown)):
        assert len(list(video.frames(data, end=times[last]))) == last


@pytest.mark.parametrize("lost", [1, 3, 6])
def test_a_frame_that_is_lost_in_silence_is_missed_without_offsets(lost):
    params = "log-level=none:keyint=8:bframes=2:open-gop=0"
    source = encoded("libx265", "mp4", FRAMES, preset="fast", **{"x265-params": params})
    data = without_offsets(source, 0, lost)
    assert len(plain(frame_matrix.Made(data, [], []))) < FRAMES
    for end in (None, 7 / frame_matrix.FPS):
        with pytest.raises(VideoError, match="damaged at 0."):
            list(video.frames(data, end=end))


@pytest.mark.parametrize("place", [5, 12])
def test_damage_moves_no_frame_before_it(place):
    source = frame_matrix.encode(Cell("mp4", "libx264", ""), reordering=True)
    packet = packets_of(frame_matrix.Made(source, [], []))[place]
    data = bytearray(without_offsets(source, 0))
    at = data.find(bytes(packet))
    data[at : at + 6] = b"\0\0\0\2\1\x80"  # A unit that ends in its head.
    index = frame_index.index_of(bytes(data))
    assert index.error and 0 < index.num_frames < place
    times = np.arange(index.num_frames) / frame_matrix.FPS
    np.testing.assert_allclose(index.times, times)


def clip_of(path, **part) -> Clip:
    return Clip("shelf/7", path, ("train",), 0, **part)


# ----------------------------------------------------- what may be read by its packets
def shifted(data: bytes, change) -> bytes:
    """An mp4 of the same packets at times that `change` gives, of their places."""

    def stamp(place: int, packet: av.Packet) -> bool:
        packet.pts = change(place, packet)
        return True

    return frame_matrix.remuxed(data, "mp4", stamp)


PLAIN = frame_matrix.encode(Cell("mp4", "libx264", ""))
REORDERED = frame_matrix.encode(Cell("mp4", "libx264", ""), reordering=True)


def test_a_stream_is_read_by_its_packets_where_its_headers_prove_its_frames():
    proven = [PLAIN, REORDERED]
    for codec in ("libvpx", "libvpx-vp9"):
        proven.append(REASONS["hidden frames"](Cell("webm", codec, "")).data)
    proven += [store_of(PLAIN), store_of(PLAIN, "frames")]
    for data in proven:
        index = frame_index.index_of(data)
        assert index.proof is not None
        assert index.num_frames == len(plain(frame_matrix.Made(data, [], [])))
    for cell in (
        Cell("mp4", "libx264", "no offsets"),
        Cell("mpegts", "libx264", "fields apart"),
        Cell("mp4", "libx264", "fields"),
        Cell("mpegts", "libx264", "begins mid-group"),
        Cell("webm", "libvpx-vp9", "begins mid-group"),
        Cell("avi", "libx264", "B-frames"),
    ):
        made = REASONS[cell.reason](cell)
        assert frame_index.index_of(made.data).proof is None, cell


def store_of(data: bytes, name: str = "fast") -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        pathlib.Path(file.name).write_bytes(data)
        return store(clip_of(pathlib.Path(file.name)), name).video


def test_times_that_are_wrong_in_a_part_of_a_file_are_not_trusted():
    # From the second keyframe on, as if a file without offsets followed.
    data = shifted(REORDERED, lambda place, p: p.pts if place < 8 else p.dts + 1024)
    assert frame_index.index_of(data).proof is None
    for some in ([3, 4, 5], [9, 10, 11], [18, 13]):
        assert numbers(video.decode(data, some)) == some


def test_fields_in_a_part_of_a_file_are_counted_with_all_others():
    shown = [picture(n, paff.SIDE, paff.SIDE) for n in range(FRAMES)]
    frames = [
        paff.fields(shown[n], n) if n < 5 else (paff.whole(shown[n], n),)
        for n in range(FRAMES)
    ]
    data = frame_matrix.of_access_units(frames, "mp4", apart=True)
    assert video.probe(data).num_frames == FRAMES
    for some in ([12], [19, 3], [5]):
        assert numbers(video.decode(data, some)) == some


@pytest.mark.parametrize("wrap", [4, 16])
def test_orders_of_pictures_go_on_where_their_counter_begins_anew(wrap):
    """Of one group of 20 frames, whose counter of 4 bits wraps at each eighth frame."""
    bits = wrap.bit_length() + 1
    known = h264.Parameters(4, 0, bits, False, False)
    reader = h264.Reader(None)
    reader._parameters = known

    def picture_of(order: int, is_reference: bool) -> h264.Picture:
        # first_mb_in_slice, slice_type, pic_parameter_set_id; frame_num, [idr_pic_id].
        text = "111" + "0000" + "1" * (not order)
        text += f"{2 * order % (1 << bits):0{bits}b}" + "1"
        head = int(text.ljust(64, "0"), 2).to_bytes(8, "big")
        return h264.Picture(not order, is_reference, b"\x00" + head)

    shown = [
        0,
        *(n + step for n in range(0, 19, 2) for step in (2, 1) if n + step < 20),
    ]
    pictures = [picture_of(order, order % 2 == 0) for order in shown]
    assert reader.orders(pictures) == [2 * order for order in shown]


def test_an_index_is_kept_while_the_file_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "a.webm"
    path.write_bytes(encoded("libvpx", "webm", 5, **frame_matrix.OPTIONS["libvpx"]))
    made, plain_index = [], frame_index._index
    monkeypatch.setattr(
        frame_index, "_index", lambda *it: made.append(it) or plain_index(*it)
    )
    assert [frame_index.index_of(path).num_frames for _ in range(3)] == [5] * 3
    assert len(made) == 1
    path.write_bytes(encoded("libvpx", "webm", 7, **frame_matrix.OPTIONS["libvpx"]))
    assert frame_index.index_of(path).num_frames == 7 and len(made) == 2


# ------------------------------------------------------------------ files cut short
def test_an_avi_that_ends_in_empty_chunks_is_whole(tmp_path):
    data = bytearray(frame_matrix.encode(Cell("avi", "mpeg4", "")))
    # Frames that the stream's header states (AVISTREAMHEADER.dwLength), of which the last
    # three have no chunk.
    at = data.find(b"strh") + 8 + 32
    assert int.from_bytes(data[at : at + 4], "little") == FRAMES
    data[at : at + 4] = (FRAMES + 3).to_bytes(4, "little")
    path = tmp_path / "a.avi"
    path.write_bytes(data)
    assert video.probe(path).num_frames == FRAMES
    assert store(clip_of(path), "fast").num_frames == FRAMES
    with av.open(path) as container:
        packets = list(container.demux(video=0))
    path.write_bytes(data[: packets[12].pos])
    with pytest.raises(VideoError, match="cut short, .* frames are there"):
        store(clip_of(path), "fast")
    assert video.probe(path).num_frames == FRAMES + 3


def test_an_avi_that_was_cut_short_lacks_the_frames_after_its_empty_chunks(tmp_path):
    made = REASONS["null frames"](Cell("avi", "mpeg4", "null frames"))
    path = tmp_path / "a.avi"
    path.write_bytes(made.data[: packets_of(made)[12].pos])
    info = video.probe(path)
    assert info.num_frames >= FRAMES
    assert numbers(video.decode(path, range(8))) == list(range(8))
    with pytest.raises(VideoError, match="cannot be decoded"):
        video.decode(path, [info.num_frames - 1])


# -------------------------------------------------------------------------- tracks
def test_of_two_videos_the_default_is_read_and_then_the_larger(tmp_path):
    def tracks(container: str, default: int | None, sizes) -> bytes:
        file = io.BytesIO()
        with av.open(file, "w", container) as out:
            streams = []
            for place, size in enumerate(sizes):
                stream = out.add_stream("mpeg4", rate=25)
                stream.height, stream.width = size
                stream.pix_fmt = "yuv420p"
                if default is not None:
                    marks = stream.disposition
                    stream.disposition = (
                        marks.default if place == default else marks & 0
                    )
                streams.append(stream)
            for index in range(6):
                for place, (stream, size) in enumerate(
                    zip(streams, sizes, strict=True)
                ):
                    shown = picture(100 * place + index, *size)
                    frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
                    out.mux(stream.encode(frame))
            for stream in streams:
                out.mux(stream.encode())
        return file.getvalue()

    small, large = (48, 64), (96, 128)
    for container in ("matroska", "mp4"):
        first = tracks(container, 0, (small, large))
        assert numbers(video.decode(first, [2])) == [2]
        second = tracks(container, 1, (large, small))
        assert numbers(video.decode(second, [2])) == [102]
        assert video.probe(second).height == 48
    both = tracks("mpegts", None, (small, large))
    assert numbers(video.decode(both, [2])) == [102]


# --------------------------------------------------------------------- pixel aspect
WIDE = frame_matrix.encode(Cell("mp4", "libx264", ""), aspect=frame_matrix.WIDE)


@pytest.mark.parametrize("name", STORAGES)
def test_pixels_become_square_where_they_are_asked_to(tmp_path, name):
    path = tmp_path / "wide.mp4"
    path.write_bytes(WIDE)
    stored = store(clip_of(path), name)
    for source in (path, stored.video):
        assert video.probe(source).pixel_aspect == pytest.approx(4 / 3)
        assert video.decode(source, [3, 9]).shape == (2, 48, 64, 3)
        shown = video.decode(source, [3, 9], pixel_aspect="square")
        assert shown.shape == (2, 48, 85, 3) and numbers(shown) == [3, 9]


def test_of_a_turned_video_the_other_side_is_scaled(tmp_path):
    pictures = [np.rot90(picture(n)).copy() for n in range(4)]
    data = encoded("libx264", "mp4", pictures, aspect=frame_matrix.WIDE)
    data = with_matrix(data, 0, 1, -1, 0)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    assert video.probe(data).pixel_aspect == pytest.approx(3 / 4)
    for source in (path, *(store(clip_of(path), name).video for name in STORAGES)):
        shown = video.decode(source, [1], pixel_aspect="square")
        assert shown.shape == (1, 48, 48, 3) and numbers(shown) == [1]


def test_a_folder_of_jpegs_keeps_the_shape_of_its_pixels(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(3):
        Image.fromarray(picture(n)).save(folder / f"{n}.jpg", dpi=(4, 3), quality=95)
    assert images.pixel_aspect(folder / "0.jpg") == frame_matrix.WIDE
    for name in STORAGES:
        stored = store(clip_of(folder), name)
        shown = video.decode(stored.video, range(3), pixel_aspect="square")
        assert shown.shape == (3, 48, 85, 3) and numbers(shown) == [0, 1, 2]


def test_pixels_that_are_ignored_are_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr(pixel_aspect, "_warned", set())
    with caplog.at_level(logging.WARNING, "vidshift.data"):
        for name in ("a", "b", "a"):
            video.decode(WIDE, [0], name=name, data_set="cats")
            video.decode(PLAIN, [0], name=name, data_set="dogs")
        for _ in range(2):
            video.decode(WIDE, [0], name="c")
            video.decode(WIDE, [0], name="d", pixel_aspect="square")
    one, other = (record.getMessage() for record in caplog.records)
    assert one.startswith("cats: pixels are 4:3 in a, not square")
    assert other.startswith("c: pixels are 4:3, not square")
    with pytest.raises(ValueError, match="pixel_aspect must be one of ignore, square"):
        video.decode(WIDE, [0], pixel_aspect="round")


VIEW = View(num_frames=2, resize=48, crop=48)


@pytest.mark.parametrize("name", STORAGES)
def test_training_and_evaluation_do_what_their_view_says(tmp_path, name):
    path = tmp_path / "wide.mp4"
    path.write_bytes(WIDE)
    annotations = Annotations((clip_of(path),), ("cats",))
    out = {"out": tmp_path / "out", "stored_as": name}
    assert build.prepare(annotations, "folder", workers=1, **out) == 0
    split = open_split("folder", "train", data_dir=str(tmp_path / "out"))
    record, shapes = split.source[0], []

    def decode(*args, **options):
        frames = split.decode(*args, **options)
        shapes.append(frames.shape[1:3])
        return frames

    for aspect in pixel_aspect.PIXEL_ASPECTS:
        view = dataclasses.replace(VIEW, pixel_aspect=aspect)
        train_clip(
            record, view, np.random.default_rng(0), may_flip=False, decode=decode
        )
        fields = record["video"], record["num_frames"], record["fps"]
        eval_clips(*fields, view, name="a", decode=decode)
    assert shapes == [(48, 64)] * 2 + [(48, 85)] * 2


def test_a_clip_of_a_users_video_is_what_its_view_says():
    clips = [
        clip_from_video(WIDE, dataclasses.replace(VIEW, pixel_aspect=aspect))
        for aspect in pixel_aspect.PIXEL_ASPECTS
    ]
    assert clips[0].shape == clips[1].shape and (clips[0] != clips[1]).any()


def test_a_stream_is_shown_as_its_run_was(tmp_path):
    path = tmp_path / "wide.mp4"
    path.write_bytes(WIDE)
    options = types.SimpleNamespace(video=path)
    for aspect, width in (("ignore", 64), ("square", 85)):
        stretch = session.stretch_of(options, aspect)
        frames = sources.timed(video.frames(path), stretch=stretch)
        shown = [frame.show() for frame in frames]
        assert numbers(shown) == list(range(FRAMES))
        assert {picture.shape for picture in shown} == {(48, width, 3)}
