"""Decoding gives the bits of a full sequential decode, or a one-line error."""

import io

import av
import numpy as np
import pytest

from tests.support.files import VIDEOS
from tests.support.numbered_videos import audio, encoded
from vidshift.data.media import encoding, h264, video
from vidshift.data.media.video import VideoError

ARM = VIDEOS / "arm_wrestling.mp4"
AVI = VIDEOS / "clip_mpeg4.avi"


def all_frames(source) -> np.ndarray:
    """Decodes everything in the plainest way there is."""
    file = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(file) as container:
        return np.stack(
            [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        )


def moving_square(num_frames: int, side: int = 64) -> np.ndarray:
    frames = np.random.default_rng(0).integers(
        0, 40, (num_frames, side, side, 3), np.uint8
    )
    for t, frame in enumerate(frames):
        frame[8 + t % 30 : 28 + t % 30, t % 40 : t % 40 + 20] = 40 + 3 * t
    return frames


def some_indices(num_frames: int, draws: int = 10):
    rng = np.random.default_rng(1)
    for _ in range(draws):
        yield rng.integers(0, num_frames, rng.integers(1, 9))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "info"),
    [
        (ARM, video.VideoInfo(280, 28.0, 256, 340, pixel_aspect=64 / 51)),
        (AVI, video.VideoInfo(164, 25.0, 240, 320)),
    ],
)
def test_real_videos(path, info):
    frames = all_frames(path)
    assert video.probe(path) == info
    assert len(frames) == info.num_frames
    for indices in some_indices(len(frames), 5):
        np.testing.assert_array_equal(video.decode(path, indices), frames[indices])
    np.testing.assert_array_equal(video.decode(path, range(len(frames))), frames)


X264 = {
    "closed groups": {"g": "8", "bf": "3"},
    "open groups": {"g": "8", "bf": "3", "x264-params": "open-gop=1"},
    "pyramid": {"g": "60", "bf": "5", "x264-params": "b-pyramid=normal:ref=4"},
    "no B-frames": {"g": "4", "bf": "0"},
    "all intra": {"g": "1", "bf": "0"},
    "intra refresh": {"g": "8", "bf": "2", "x264-params": "intra-refresh=1"},
    "weighted": {"g": "30", "bf": "2", "x264-params": "weightp=2:weightb=1"},
    "interlaced": {"g": "12", "bf": "2", "x264-params": "tff=1"},
}


@pytest.mark.parametrize("options", X264.values(), ids=X264)
def test_h264_is_bit_exact(options):
    data = encoded("libx264", "mp4", moving_square(40), **options)
    frames = all_frames(data)
    assert video.probe(data).num_frames == len(frames) == 40
    for indices in some_indices(40):
        np.testing.assert_array_equal(video.decode(data, indices), frames[indices])


def test_only_needed_packets_are_decoded():
    idr, reference, other = b"\x65\x80", b"\x41\x80", b"\x01\x80"

    def packets(*headers):
        return [len(h).to_bytes(4, "big") + h for h in headers]

    # Decoding order; B-frames that nothing is predicted from are `other`.
    stream = packets(idr, reference, other, reference, other, idr, other, reference)

    def needed(packets, wanted, extradata=b"\x01\x64\x00\x1f\xff\xe0\x00"):
        reader = h264.Reader(extradata)
        return h264.needed_packets([reader.picture(p) for p in packets], wanted)

    assert needed(stream, {4}) == [[0, 1, 3, 4]]
    assert needed(stream, {1, 7}) == [[0, 1], [5, 7]]
    assert needed(stream, {5}) == [[5]]
    assert needed(stream[1:], {3}) is None
    annexb = [b"\x00\x00\x00\x01\x09\xf0\x00\x00\x01" + p[4:] + b"xx" for p in stream]
    assert needed(annexb, {4}, b"") == [[0, 1, 3, 4]]


def test_encode_keeps_the_picture_and_is_deterministic():
    frames = moving_square(6)
    data = encoding.encode(frames, fps=12.5, gop=2)
    assert data == encoding.encode(frames, fps=12.5, gop=2)
    assert video.probe(data) == video.VideoInfo(6, 12.5, 64, 64)
    decoded = video.decode(data, range(6))
    assert abs(decoded.astype(int) - frames).mean() < 20  # Noise is not worth its bits.
    with av.open(io.BytesIO(data)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert [p.is_keyframe for p in packets] == [True, False] * 3
    # Without B-frames packets come in the order they are shown.
    with av.open(io.BytesIO(encoding.encode(moving_square(20), gop=20))) as container:
        times = [p.pts for p in container.demux(video=0) if p.size]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.zeros((2, 15, 16, 3), np.uint8), {}, r"even sides, got \(15, 16, 3\)"),
        (np.zeros((0, 16, 16, 3), np.uint8), {}, "at least one"),
        (np.zeros((2, 16, 16, 3), np.float32), {}, "must be uint8.*float32"),
        (np.zeros((2, 16, 16), np.uint8), {}, r"\[T, H, W, 3\]"),
        (np.zeros((2, 16, 16, 3), np.uint8), {"qp": 20}, "crf=18.0, qp=20"),
    ],
)
def test_encode_errors(frames, options, message):
    with pytest.raises(ValueError, match=message):
        encoding.encode(frames, **options)


@pytest.mark.parametrize("indices", [[], [0, -1]])
def test_bad_indices(indices):
    with pytest.raises(ValueError, match="indices"):
        video.decode(AVI, indices)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (audio(), "no video stream"),
        # The table of frames stands at the end of this file.
        (ARM.read_bytes()[:300_000], "cut short"),
    ],
    ids=["empty", "audio", "cut"],
)
def test_errors_name_the_record(data, reason):
    for read in (video.probe, lambda data, name: video.decode(data, [0], name=name)):
        with pytest.raises(VideoError, match=reason) as error:
            read(data, name="shelf/7")
        assert str(error.value).startswith("shelf/7: ")
        assert "\n" not in str(error.value)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(VideoError, match="nowhere.mp4: no such file"):
        video.probe(tmp_path / "nowhere.mp4")


def test_a_lost_frame_is_an_error_and_the_others_are_right():
    data = AVI.read_bytes()[:147_500]
    assert video.probe(data).num_frames == 164
    np.testing.assert_array_equal(video.decode(data, [3]), video.decode(AVI, [3]))
    with pytest.raises(VideoError, match="frame 160 cannot be decoded.*164"):
        video.decode(data, [3, 160])
    # The packet that is cut in two is not shown half.
    with av.open(str(AVI)) as container:
        ends = [p.pos + 8 + p.size for p in container.demux(video=0) if p.size]
    whole = sum(end <= len(data) for end in ends)
    assert ends[whole] - len(data) < 2000  # The cut is in a packet, not between two.
    video.decode(data, [whole - 1])
    with pytest.raises(VideoError, match=f"frame {whole} cannot be"):
        video.decode(data, [whole])


def test_a_damaged_frame_is_an_error(tmp_path):
    data = bytearray(encoding.encode(moving_square(12), gop=6))
    with av.open(io.BytesIO(bytes(data))) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    # Within the slice data of frame 7, in the second group of 6.
    at = packets[7].pos + packets[7].size // 2
    data[at : at + 20] = bytes(20)
    data = bytes(data)
    assert video.decode(data, [0, 5]).shape == (2, 64, 64, 3)
    with pytest.raises(VideoError, match="damaged"):
        video.decode(data, [9])
