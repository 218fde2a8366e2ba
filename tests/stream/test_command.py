"""`vidshift stream` on videos and a camera that does not exist."""

import io
import itertools
import os
import signal
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

import vidshift
from tests.support.files import VIDEOS
from tests.support.runs_for_streams import (
    call,
    pictures,
    shares,
    softmax,
    write_run,
    write_video,
)
from vidshift.data import View
from vidshift.data.media import video
from vidshift.data.media.encoding import encode
from vidshift.data.media.video import VideoError
from vidshift.run import Run
from vidshift.stream import answering, sources
from vidshift.stream.answering import cut
from vidshift.stream.latest_frame import LatestFrame
from vidshift.stream.watch import Live

FRAMES = 12
REAL = VIDEOS / "arm_wrestling.mp4"


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("causal"), causal=True)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("both"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", FRAMES)


def offline(run, path, frames=None, every=1):
    """Logits of every frame of a causal network that sees all frames at once."""
    run = Run.open(run)
    shown = [
        cut(np.array(frame.to_ndarray(format="rgb24")), run.view)
        for frame, _ in video.frames(path)
    ]
    seen = run.normalise(np.stack(shown[:frames:every])[None])
    return np.asarray(run.network().frame_logits(seen))[0]


def as_offline(figures, logits):
    assert shares(figures) == pytest.approx(softmax(logits), abs=1e-4)


@pytest.mark.parametrize(("average", "last"), [("none", 1), ("3", 3), (None, 12)])
def test_answers_are_those_of_the_whole_clip(causal, clip, capsys, average, last):
    given = [] if average is None else ["--average", average]
    figures, lines = call(capsys, "--run", causal, "--video", clip, "--top", 4, *given)
    as_offline(figures, offline(causal, clip)[-last:].mean(0))
    counted = [figures[k] for k in ("frames", "answered", "skipped", "left_out")]
    assert counted == [FRAMES, FRAMES, 0, 0]
    assert 0 < figures["latency_ms"]["median"] <= figures["latency_ms"]["p99"]
    assert figures["ended"] == "end" and figures["source_fps"] == 25
    assert len(lines) == FRAMES
    assert lines[-1].startswith("   0.44 s  frame 11 ")
    best = figures["top"][0]
    assert f"{best['share']:.1%} {best['class']}" in lines[-1]


def test_some_frames_are_left_out(causal, clip, capsys):
    arguments = ["--run", causal, "--video", clip, "--average=none", "--top=4"]
    figures, lines = call(capsys, *arguments, "--every-frame=2", "--every=3")
    as_offline(figures, offline(causal, clip, every=2)[-1])
    assert (figures["answered"], figures["left_out"]) == (6, 6)
    assert figures["seen_fps"] == 12.5 and len(lines) == 2
    same, _ = call(capsys, *arguments, "--fps=12.5")
    assert shares(same) == shares(figures)


def test_a_stream_goes_on_from_its_state(causal, clip, tmp_path, capsys):
    """Two halves give what the whole gives; a state that does not fit is one line."""
    frames = pictures(FRAMES)
    for name, part in (("first.mp4", frames[:5]), ("second.mp4", frames[5:])):
        (tmp_path / name).write_bytes(encode(part, gop=1, crf=None, qp=20))
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(encode(frames, gop=1, crf=None, qp=20))
    state = tmp_path / "state"
    arguments = ["--run", causal, "--top=4", "--average=all", "--state", state]
    call(capsys, *arguments, "--video", tmp_path / "first.mp4")
    figures, _ = call(capsys, *arguments, "--video", tmp_path / "second.mp4")
    as_offline(figures, offline(causal, whole).mean(0))
    fresh, _ = call(capsys, *arguments[:-2], "--video", tmp_path / "second.mp4")
    assert shares(fresh) != pytest.approx(shares(figures), abs=1e-3)
    _, (line,) = call(capsys, *arguments[:3], "--state", state, "--video", clip, code=2)
    assert "is of another network, size or number of streams" in line


def test_out_is_the_video_with_the_answers_drawn_in(causal, tmp_path, capsys):
    clip, out = tmp_path / "clip.mp4", tmp_path / "a:b.mp4"
    clip.write_bytes(encode(pictures(FRAMES, 96, 128), fps=25))
    call(capsys, "--run", causal, "--video", clip, "--out", out, "--every-frame=3")
    info = video.probe(out)
    assert (info.num_frames, info.fps) == (FRAMES, 25)
    assert (info.height, info.width) == (96, 128)
    before, after = (video.decode(path, range(FRAMES)) for path in (clip, out))
    difference = np.abs(before.astype(int) - after).mean((0, 3))
    # Three bars in the upper left; what is elsewhere is the video's.
    assert difference[:28, :60].mean() > 20
    assert difference[36:].mean() < 8
    assert difference[:, 68:].mean() < 8
    assert not list(tmp_path.glob("*.partial"))


def cut_short(tmp_path):
    """A video whose index comes first and whose last frames are lost."""
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(encode(pictures(40), gop=4))
    moved = tmp_path / "moved.mp4"
    options = {"movflags": "faststart"}
    with av.open(str(whole)) as source:
        stream = source.streams.video[0]
        with av.open(str(moved), "w", options=options) as target:
            copied = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = copied
                    target.mux(packet)
    path = tmp_path / "cut.mp4"
    path.write_bytes(moved.read_bytes()[: int(0.6 * moved.stat().st_size)])
    return path


@pytest.mark.parametrize("pace", ["none", "real"])
def test_a_video_that_breaks_off_loses_nothing(causal, tmp_path, capsys, pace):
    path = cut_short(tmp_path)
    out, state = tmp_path / "out.mp4", tmp_path / "state"
    figures, lines = call(
        capsys,
        *("--run", causal, "--video", path, "--out", out, "--state", state),
        *("--pace", pace, "--every=100"),
        code=1,
    )
    number = figures["frames"]
    assert 0 < number < 40 and figures["ended"] == "damaged"
    assert f"stream: error: after frame {number - 1}: {path}: cut short" in lines[-1]
    written = video.probe(out).num_frames
    assert written == number if pace == "none" else 0 < written <= number
    assert state.exists()


def frames_of_a_camera(number, seconds, fps=30.0):
    """What `sources.camera` is, of a device that gives a frame every few seconds."""

    def camera(device):
        assert device == "0"
        for index, rgb in enumerate(pictures(number)):
            time.sleep(seconds)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            yield frame, fps
        raise sources.CameraError("camera 0: gives no frame any more")

    return camera


def test_a_camera_never_lags(causal, capsys, monkeypatch):
    """A network that takes longer than a frame sees the newest; the others are counted."""
    slow = answering.FrameByFrame.__call__

    def answer(self, picture, at):
        time.sleep(0.05)
        return slow(self, picture, at)

    monkeypatch.setattr(answering.FrameByFrame, "__call__", answer)
    figures, lines = call(
        capsys,
        *("--run", causal, "--camera=0"),
        camera=frames_of_a_camera(30, 0.01),
        code=1,
    )
    assert figures["frames"] == 30 == figures["answered"] + figures["skipped"]
    assert figures["skipped"] >= 10
    # One frame's answer, and at most the one before it is waited for.
    assert figures["latency_ms"]["p99"] < 500
    assert "gives no frame any more" in lines[-1]


def test_a_device_of_ffmpegs_is_read(causal, capsys, monkeypatch):
    """FFmpeg's test picture at its own rate, in place of a driver: read as a camera is."""
    made = "testsrc=size=64x48:rate=20:duration=1,realtime"
    monkeypatch.setitem(sources.DEVICES, sources.sys.platform, ("lavfi", made, "{}"))
    figures, lines = call(capsys, "--run", causal, "--camera=0", code=1)
    # FFmpeg looks at the first itself, and `nobuffer` does not keep what it looked at.
    assert figures["frames"] == 19 == figures["answered"] + figures["skipped"]
    assert (figures["source_fps"], figures["answered"] >= 5) == (20.0, True)
    assert 0.9 < figures["seconds"] < 10
    assert "after frame 18: camera 0" in lines[-1]


def test_frames_that_are_left_out_do_not_count_as_skipped(causal, capsys):
    figures, _ = call(
        capsys,
        *("--run", causal, "--camera=0", "--fps=10"),
        camera=frames_of_a_camera(12, 0.05),
        code=1,
    )
    assert (figures["answered"], figures["skipped"], figures["left_out"]) == (4, 0, 8)


def test_a_bi_directional_network_needs_a_window(both, clip, capsys):
    arguments = ["--run", both, "--video", clip, "--top=4"]
    _, (line,) = call(capsys, *arguments, code=2)
    assert "config.model.causal=True" in line and "--window" in line
    figures, lines = call(capsys, *arguments, "--window=5")
    # Frames 0, 5 and 10 are answered: the last by the clip of frames 7 to 10.
    assert figures["answered"] == len(lines) == 3 and figures["sees"] == "windows"
    run = Run.open(both)
    shown = np.stack([cut(rgb, run.view) for rgb in video.decode(clip, range(7, 11))])
    seen = run.normalise(shown[None])
    as_offline(figures, np.asarray(vidshift.load(both)(seen))[0])
    _, (line,) = call(capsys, *arguments, "--window", "--state=x", code=2)
    assert "--state" in line


@pytest.mark.parametrize(
    ("sampling", "fps", "wanted"),
    [
        # 4 frames, 6 apart at 30 a second: a span of 20 at 25.
        ({"sampling": "strided", "frame_stride": 6}, 25.0, [20, 26, 32, 39]),
        ({"sampling": "segments"}, 25.0, [36, 37, 38, 39]),
    ],
)
def test_a_window_is_evaluations_clip_of_the_last_frames(sampling, fps, wanted):
    view = View(4, 20, 16, **sampling)
    window = answering.Window(
        lambda clip: clip[:, :, 0, 0, 0].astype(np.float32),
        view,
        normalise=lambda clip: clip,
        fps=fps,
    )
    pictures = np.arange(40, dtype=np.uint8).reshape(-1, 1, 1, 1)
    pictures = np.broadcast_to(pictures, (40, 16, 16, 3))
    for index, picture in enumerate(pictures):
        logits = window(picture, index / fps)
    assert logits.tolist() == wanted
    # A frame that was never looked at moves no other in time.
    sparse = answering.Window(
        window.program, view, normalise=lambda clip: clip, fps=fps
    )
    for index in [i for i in range(40) if i not in (26, 38)]:
        logits = sparse(pictures[index], index / fps)
    assert logits.tolist() == [w - (w in (26, 38)) for w in wanted]


def test_wrong_input_is_one_line(causal, both, clip, tmp_path, capsys):
    (tmp_path / "text.mp4").write_bytes(b"this is no video\n" * 100)
    for arguments, expected in [
        (["--video", clip], "--run"),
        (["--run", causal], "give --video or --camera"),
        (["--run", causal, "--video", clip, "--camera=0"], "--video or --camera"),
        (["--run", causal, "--camera=77"], "camera 77: /dev/video77: No such file"),
        (["--run", causal, "--camera=0", "--pace=none"], "--pace is a video's"),
        (["--run", causal, "--video", tmp_path / "no.mp4"], "no.mp4: no such file"),
        (["--run", causal, "--video", tmp_path / "text.mp4"], "not a video"),
        (["--run", tmp_path, "--video", clip], "is no run or checkpoint"),
        (["--run", causal, "--video", clip, "--budget=5"], "vidshift budgets"),
        (["--run", causal, "--video", clip, "--out", clip], "the video itself"),
        (["--run", causal, "--video", clip, "--out", "no/x.mp4"], "cannot be writ"),
        (["--capacity"], "--run or --network"),
        (["--capacity", "--network=resnet_tiny/tsm"], "causal=True"),
        (["--capacity", "--network=resnet/tsm"], "does not exist"),
        (["--capacity", "--run", causal, "--compare"], "--network"),
    ]:
        figures, lines = call(capsys, *arguments, code=2)
        assert len(lines) == 1, lines
        assert lines[0].startswith("vidshift stream: error: ") and expected in lines[0]
        assert figures is None


def test_capacity(causal, capsys):
    figures, lines = call(
        capsys, "--run", causal, "--capacity", "--steps=3", "--largest=4", "--fps=1"
    )
    assert [row["streams"] for row in figures["rows"]] == [1, 2, 4]
    assert figures["streams"] == 4 and "keeps up" in lines[-1]


@pytest.mark.slow
def test_capacity_of_a_network_by_name(capsys):
    figures, _ = call(
        capsys,
        *("--capacity", "--network=resnet_tiny/tsm:causal=true", "--side=16"),
        *("--steps=3", "--fps=100000"),
    )
    assert figures["streams"] == 0 and len(figures["rows"]) == 1
    figures, _ = call(
        capsys,
        *("--capacity", "--network=resnet_tiny/tsm:causal=true", "--side=16"),
        *("--steps=4", "--compare"),
    )
    assert figures["pairs"] == 4 and figures["times_tsn"] > 0
    assert figures["state_bytes"] > 0


def test_frames_of_another_size_are_cut_alike(causal, tmp_path):
    """Each frame is resized by itself, and --out keeps the first one's size."""

    def source():
        for rgb in (*pictures(2), *pictures(2, 48, 96)):
            yield av.VideoFrame.from_ndarray(rgb, format="rgb24"), 25.0

    from vidshift.stream.overlay import Drawing

    drawing = Drawing(tmp_path / "out.mp4")
    view = View(4, 20, 16)
    for frame in sources.timed(source()):
        assert cut(frame.show(), view).shape == (16, 16, 3)
        drawing.add(frame, [])
    drawing.close()
    info = video.probe(tmp_path / "out.mp4")
    assert (info.num_frames, info.height, info.width) == (4, 24, 32)


def test_frames_come_at_their_times():
    def source():
        for pts in (0, 1, 2, 1000, 1001):  # a jump of the file's clock
            frame = av.VideoFrame(16, 16, "rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            yield frame, 10.0

    times = [frame.time for frame in sources.timed(source())]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    now, waits = 5.0, []

    def sleep(seconds):
        nonlocal now
        now += seconds
        waits.append(seconds)

    frames = list(
        sources.paced(sources.timed(source()), clock=lambda: now, sleep=sleep)
    )
    assert waits == pytest.approx([0.1] * 4)
    assert frames[-1].arrived == pytest.approx(5.4)


def test_devices_have_the_names_of_their_platform(monkeypatch):
    opened = []

    def open(file, format, options):
        opened.append((format, file))
        raise ValueError("no container format")

    monkeypatch.setattr(av, "open", open)
    for platform, device, wanted in [
        ("linux", "2", ("v4l2", "/dev/video2")),
        ("linux", "/dev/front", ("v4l2", "/dev/front")),
        ("darwin", "0", ("avfoundation", "0")),
        ("win32", "My Camera", ("dshow", "video=My Camera")),
    ]:
        monkeypatch.setattr(sources.sys, "platform", platform)
        with pytest.raises(sources.CameraError, match="no container format"):
            next(sources.camera(device))
        assert opened.pop() == wanted


@pytest.mark.parametrize("pace", ["camera", "none"])
def test_an_interrupt_ends_it_and_loses_nothing(
    causal, clip, tmp_path, capsys, monkeypatch, pace
):
    """A camera has no other end."""

    called = answering.FrameByFrame.__call__
    answered, before = itertools.count(), signal.getsignal(signal.SIGINT)

    def answer(self, picture, at):
        if next(answered) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return called(self, picture, at)

    def endless(*_):
        for rgb in itertools.cycle(pictures(4)):
            time.sleep(0.01)
            yield av.VideoFrame.from_ndarray(rgb, format="rgb24"), 25.0

    monkeypatch.setattr(answering.FrameByFrame, "__call__", answer)
    out, state = tmp_path / "out.mp4", tmp_path / "state"
    monkeypatch.setattr(video, "frames", endless)
    figures, _ = call(
        capsys,
        *("--run", causal, "--out", out, "--state", state),
        *(["--camera=0"] if pace == "camera" else ["--video", clip, "--pace", pace]),
        camera=endless,
        code=0 if pace == "camera" else 128 + signal.SIGINT,
    )
    assert figures["ended"] == "interrupted" and figures["answered"] == 3
    assert video.probe(out).num_frames >= 1 and state.exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_line_is_rewritten_on_a_terminal_alone(monkeypatch):
    written = {}
    for terminal in (True, False):
        out = io.StringIO()
        monkeypatch.setattr(out, "isatty", lambda terminal=terminal: terminal)
        live = Live(out)
        for text in ("one", "two", 500 * "x"):
            live.show(text)
        live.say("said")
        live.close()
        written[terminal] = out.getvalue()
    assert written[False] == f"one\ntwo\n{500 * 'x'}\nsaid\n"
    first, second, long, said = written[True].split("\r")[1:] + [""]
    assert (first, second) == ("one\x1b[K", "two\x1b[K")
    assert long.startswith("xxx") and long.count("x") < 500
    assert long.endswith("\x1b[K\nsaid\n") and not said


def test_the_newest_frame_is_handed_out():
    """One that is due gives way to such a one alone."""
    frames = [
        sources.Frame(lambda: None, index, index / 10, 10.0, due, 0.0)
        for index, due in enumerate([True, False, True, False, False])
    ]
    looked = threading.Event()

    def source():
        yield frames[0]
        looked.wait()
        yield from frames[1:]
        raise VideoError("the end")

    newest = LatestFrame(source())
    assert next(newest).index == 0
    looked.set()
    newest._thread.join()
    assert next(newest).index == 2
    assert newest.skipped == 0
    with pytest.raises(VideoError, match="the end"):
        next(newest)

    newest = LatestFrame(iter([frames[0], frames[2], frames[3]]))
    newest._thread.join()
    assert [frame.index for frame in newest] == [2] and newest.skipped == 1
