"""Videos in which a packet is not a frame, of every container, codec and reason.

Each frame shows its number (`numbered_videos`). `cells` are all combinations that can
exist, `impossible` says why another cannot.
"""

import functools
import io
import itertools
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

from tests.support import paff
from tests.support.numbered_videos import (
    SIZES,
    encoded,
    number,
    picture,
    trimmed,
    with_matrix,
)
from vidshift.data.media.player import Player

# SVT-AV1 would say much of what it does.
os.environ.setdefault("SVT_LOG", "1")

FRAMES, FPS = 20, 25
# Shown for so long each, milliseconds: a camera that slows down.
SLOWING = [40 * i for i in range(10)] + [400 + 200 * i for i in range(10)]

# Width of a pixel over its height.
WIDE = Fraction(4, 3)

MP4 = frozenset({"mp4", "mov"})
WITHOUT_TIMES = frozenset({"avi", "mpeg"})
# FFmpeg's encoders, and the containers that their codecs are put into.
CODECS = {
    "libx264": ("mp4", "mov", "matroska", "mpegts", "avi", "flv"),
    "libx265": ("mp4", "mov", "matroska", "mpegts"),
    "mpeg4": ("mp4", "mov", "matroska", "mpegts", "avi"),
    "mpeg2video": ("mp4", "matroska", "mpegts", "mpeg", "avi"),
    "mpeg1video": ("mpeg", "avi"),
    "libvpx": ("webm", "matroska"),
    "libvpx-vp9": ("webm", "mp4"),
    "libsvtav1": ("mp4", "matroska", "webm"),
    "mjpeg": ("mov", "matroska", "avi"),
    "ffv1": ("matroska", "avi"),
    "wmv2": ("asf", "avi"),
    "flv": ("flv",),
}
REORDERING = frozenset({"libx264", "libx265", "mpeg4", "mpeg2video", "mpeg1video"})
# Codecs that do not say what shape their pixels have.
WITHOUT_ASPECT = frozenset({"libvpx", "libvpx-vp9", "libsvtav1", "ffv1", "wmv2", "flv"})
INTRA = frozenset({"mjpeg", "ffv1"})
OPTIONS = {
    "libx264": {"g": "8", "preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=8"},
    "libvpx": {"g": "8", "deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"g": "8", "deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"g": "8", "preset": "13"},
    "mjpeg": {"strict": "unofficial"},
    "ffv1": {"g": "8"},
}


class Cell(NamedTuple):
    container: str
    codec: str
    reason: str


class Made(NamedTuple):
    data: bytes
    # The number that each frame shows that a plain decoding gives; None: no number, as of
    # frames that are predicted from some that are not there.
    numbers: list[int | None]
    # When each is shown, seconds from the first.
    times: list[float]
    # Of the file's video streams.
    stream: int = 0


def options_of(codec: str, *, reordering: bool = False) -> dict[str, str]:
    options = OPTIONS.get(codec, {"g": "8"})
    frames = "2" if reordering else "0"
    if codec == "libx265":
        return options | {"x265-params": f"{options['x265-params']}:bframes={frames}"}
    return options | ({"bf": frames} if codec in REORDERING else {})


def encode(cell: Cell, *, reordering: bool = False, **options) -> bytes:
    pixels = "yuvj420p" if cell.codec == "mjpeg" else "yuv420p"
    pictures = options.pop("pictures", FRAMES)
    options |= options_of(cell.codec, reordering=reordering)
    return encoded(cell.codec, cell.container, pictures, pixels=pixels, **options)


def remuxed(
    data: bytes,
    container: str,
    change: Callable[[int, av.Packet], bool] = lambda place, packet: True,
) -> bytes:
    """A file of the packets that `change`, which may alter them, keeps."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", container) as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        for place, packet in enumerate(packets):
            if change(place, packet):
                packet.stream = copy
                out.mux(packet)
    return file.getvalue()


def plain(made: Made) -> list[np.ndarray]:
    """Frames of a plain decoding, as `ffmpeg` does it: errors are passed over."""
    player, pictures = Player(), []
    with av.open(io.BytesIO(made.data)) as container:
        stream = container.streams.video[made.stream]
        stream.codec_context.thread_count = 1
        packets = [packet for packet in container.demux(stream) if packet.size]
        for packet in (*packets, None):
            try:
                frames = stream.codec_context.decode(packet)
            except av.FFmpegError:
                continue
            for frame in frames:
                player.see(frame)
                pictures.append(player.show(frame))
    return pictures


def number_of(shown: np.ndarray) -> int | None:
    try:
        return number(shown)
    except AssertionError:
        return None


def regular(numbers) -> list[float]:
    numbers = list(numbers)
    return [(number - numbers[0]) / FPS for number in numbers]


# ------------------------------------------------------------------------ the reasons
def _all(data: bytes) -> Made:
    """A file of all frames, shown regularly."""
    return Made(data, list(range(FRAMES)), regular(range(FRAMES)))


def _retimed(data: bytes, container: str, ticks: Sequence[int], unit: Fraction):
    """A file of the same packets, each decoded and shown at a time of its own."""

    def stamp(place: int, packet: av.Packet) -> bool:
        packet.time_base, packet.duration = unit, 1
        packet.pts = packet.dts = ticks[place]
        return True

    return remuxed(data, container, stamp)


def _without_offsets(cell: Cell) -> Made:
    """As `ffmpeg -c copy` makes of an AVI: a packet's time is that of its decoding."""
    source = encode(cell, reordering=True)
    return _all(_retimed(source, cell.container, range(FRAMES), Fraction(1, FPS)))


def _edited(cell: Cell) -> Made:
    data = trimmed(encode(cell, reordering=cell.codec in REORDERING), 3, 12)
    return Made(data, list(range(3, 15)), regular(range(12)))


def _paff(cell: Cell, *, apart: bool) -> Made:
    """Field pictures: both in one packet, or apart, as camcorders write them."""
    frames = [
        paff.fields(picture(index, paff.SIDE, paff.SIDE), index)
        for index in range(FRAMES)
    ]
    return _all(of_access_units(frames, cell.container, apart=apart))


def of_access_units(
    frames: Sequence[tuple[bytes, ...]], container: str, *, apart: bool
) -> bytes:
    """A file of H.264's frames, each of one or two access units."""
    raw, file = io.BytesIO(b"".join(itertools.chain(*frames))), io.BytesIO()
    with av.open(raw, format="h264") as source, av.open(file, "w", container) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for index, units in enumerate(frames):
            parts = units if apart else (b"".join(units),)
            for place, data in enumerate(parts):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, 2 * FPS)
                packet.pts = packet.dts = 2 * index + place
                packet.duration, packet.is_keyframe = 2 // len(parts), place == 0
                out.mux(packet)
    return file.getvalue()


def _hidden(cell: Cell) -> Made:
    """Pictures that others are predicted from and that are never shown."""
    if cell.codec == "mpeg4":
        return _packed(cell)
    # show_frame of the second keyframe (RFC 6386, 9.1; VP9's bitstream, 6.2).
    show = 0x10 if cell.codec == "libvpx" else 0x02

    def hide(place: int, packet: av.Packet) -> bool:
        if place == 8:
            assert packet.is_keyframe
            packet.update(bytes([bytes(packet)[0] & ~show]) + bytes(packet)[1:])
        return True

    data = remuxed(encode(cell), cell.container, hide)
    numbers = [number for number in range(FRAMES) if number != 8]
    return Made(data, numbers, regular(numbers))


def _packed(cell: Cell) -> Made:
    """What DivX wrote: a P and a B picture in one packet, then one that says nothing."""
    source = encoded("mpeg4", "avi", FRAMES + 1, g="99", bf="1", b="8M")
    with av.open(io.BytesIO(source)) as container:
        pictures = [bytes(p) for p in container.demux(video=0) if p.size]
    start = b"\x00\x00\x01\xb6"
    at = pictures[0].find(start)
    mark = b"\x00\x00\x01\xb2DivX503b1393p"
    packed = [pictures[0][:at] + mark + pictures[0][at:]]
    for place in range(1, FRAMES + 1, 2):
        packed += [pictures[place] + pictures[place + 1], start + b"\x51\xcf"]
    file = io.BytesIO()
    with av.open(file, "w", cell.container) as out:
        stream = out.add_stream("mpeg4", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for time, data in enumerate(packed):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, time, time
            packet.time_base, packet.is_keyframe = Fraction(1, FPS), time == 0
            out.mux(packet)
    numbers = range(FRAMES + 1)
    return Made(file.getvalue(), list(numbers), regular(numbers))


def _dropped(cell: Cell) -> Made:
    """An AVI that holds empty chunks where the recording had no new picture."""
    slots = [slot for slot in range(FRAMES + 4) if slot not in (5, 6, 11, FRAMES + 2)]
    data = _retimed(encode(cell), "avi", slots, Fraction(1, FPS))
    return Made(data, list(range(FRAMES)), regular(slots))


def _open_groups(cell: Cell) -> Made:
    options = options_of(cell.codec, reordering=True)
    match cell.codec:
        case "libx264":
            options["x264-params"] = "open-gop=1"
        case "libx265":
            options["x265-params"] += ":open-gop=1"
    # MPEG-1, 2 and 4: the default.
    return _all(encoded(cell.codec, cell.container, FRAMES, **options))


def _begun_late(cell: Cell) -> Made:
    """A recording that begins three packets after a keyframe."""
    # MPEG-4's decoder gives B-frames that lack a reference, at odd times.
    reordering = cell.codec in REORDERING - {"mpeg4"}
    source = encode(cell, reordering=reordering)
    begin = []

    def late(place: int, packet: av.Packet) -> bool:
        if place < 3:
            return False
        # AVI would fill the time before with empty chunks.
        begin.append(packet.dts)
        packet.dts -= begin[0]
        packet.pts = packet.dts if packet.pts is None else packet.pts - begin[0]
        return True

    data = remuxed(source, cell.container, late)
    numbers = [number_of(shown) for shown in plain(Made(data, [], []))]
    # From its first keyframe on there is nothing to argue about.
    assert numbers[-10:] == list(range(FRAMES - 10, FRAMES)), numbers
    return Made(data, numbers, regular(range(len(numbers))))


def _slowing(cell: Cell) -> Made:
    if cell.codec in ("mpeg1video", "mpeg2video"):  # these are encoded at one rate
        data = _retimed(encode(cell), cell.container, SLOWING, Fraction(1, 1000))
    else:
        data = encode(cell, reordering=cell.codec in REORDERING, times=SLOWING)
    return Made(data, list(range(FRAMES)), [time / 1000 for time in SLOWING])


def _two_tracks(cell: Cell, *, still_first: bool) -> Made:
    """A still in a track of its own; the first track is the default."""
    size = SIZES.get(cell.codec, (48, 64))
    moving, still = encode(cell), encode(cell, pictures=[picture(500, *size)])
    file = io.BytesIO()
    sources = [still, moving] if still_first else [moving, still]
    with av.open(file, "w", cell.container) as out:
        packets = []
        for data in sources:
            container = av.open(io.BytesIO(data))
            stream = container.streams.video[0]
            copy = out.add_stream_from_template(stream)
            for packet in container.demux(stream):
                if packet.size:
                    packets.append((packet, copy))
        for packet, copy in sorted(packets, key=lambda it: it[0].dts or 0):
            packet.stream = copy
            out.mux(packet)
    numbers = list(range(FRAMES))
    return Made(file.getvalue(), numbers, regular(numbers), int(still_first))


def _turned(cell: Cell) -> Made:
    size = SIZES.get(cell.codec, (48, 64))
    pictures = [np.rot90(picture(n, *size)).copy() for n in range(FRAMES)]
    in_mp4 = cell._replace(container="mov" if cell.codec in INTRA else "mp4")
    data = with_matrix(encode(in_mp4, pictures=pictures), 0, 1, -1, 0)
    if cell.container not in MP4:
        data = remuxed(data, cell.container)
    return _all(data)


REASONS: dict[str, Callable[[Cell], Made]] = {
    "plain": lambda cell: _all(encode(cell)),
    "B-frames": lambda cell: _all(encode(cell, reordering=True)),
    "no offsets": _without_offsets,
    "edit list": _edited,
    "fields": functools.partial(_paff, apart=False),
    "fields apart": functools.partial(_paff, apart=True),
    "hidden frames": _hidden,
    "null frames": _dropped,
    "open groups": _open_groups,
    "begins mid-group": _begun_late,
    "variable rate": _slowing,
    "still first": functools.partial(_two_tracks, still_first=True),
    "still last": functools.partial(_two_tracks, still_first=False),
    "rotation": _turned,
    "pixel aspect": lambda cell: _all(encode(cell, aspect=WIDE)),
}


def impossible(cell: Cell) -> str | None:
    """Why a combination cannot exist; None if it can."""
    container, codec, reason = cell
    if codec == "libsvtav1" and (
        reason in ("begins mid-group", "still first", "still last")
        or (reason == "rotation" and container == "matroska")
    ):
        return "PyAV copies no packets of AV1"
    match reason:
        case "B-frames" | "open groups" | "no offsets" if codec not in REORDERING:
            return "the codec has no B-frames"
        case "no offsets" | "variable rate" if container in WITHOUT_TIMES:
            return "the container states the times of no frame, or of some"
        case "edit list" if container not in MP4:
            return "the container has no edit lists"
        case "fields apart" if container == "avi":
            return "a chunk is a frame"
        case "fields" | "fields apart" if codec != "libx264":
            return "FFmpeg encodes no field pictures, and no others are made here"
        case "hidden frames" if codec not in ("libvpx", "libvpx-vp9", "mpeg4"):
            return "the codec shows every picture"
        case "hidden frames" if codec == "mpeg4" and container != "avi":
            return "pictures are packed in AVI alone"
        case "null frames" if container != "avi":
            return "the container has no empty chunks"
        case "begins mid-group" if codec == "mjpeg":
            return "every frame is a keyframe"
        case "still first" | "still last" if container in ("flv", "mpeg", "asf"):
            return "the container has one video track, or is not muxed with two"
        case "pixel aspect" if codec in WITHOUT_ASPECT and container not in MP4:
            return "PyAV writes it into the header of a codec alone, which has none"
        case "rotation" if container not in ("mp4", "mov", "matroska"):
            return "the container states no rotation"
        case "rotation" if MP4.isdisjoint(CODECS[codec]):
            return "FFmpeg writes a rotation that it read from an mp4 alone"
    return None


def cells(reason: str, *, sample: bool = False) -> list[Cell]:
    """The combinations of a reason that can exist.

    Args:
      sample: only as many as have each of their containers and codecs.
    """
    possible = [
        cell
        for codec, containers in CODECS.items()
        for container in containers
        if impossible(cell := Cell(container, codec, reason)) is None
    ]
    if not sample:
        return possible
    chosen, names = [], set()
    for cell in possible:
        if not {cell.container, cell.codec} <= names:
            chosen.append(cell)
            names |= {cell.container, cell.codec}
    return chosen
