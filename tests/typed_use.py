"""Public names as a typed program uses them: pyright checks this file, nothing runs it.

`pyright`, with the settings in pyproject.toml, finds no error and no unknown type here.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import vidshift
from vidshift.adaptive.switch import Adaptive
from vidshift.export import Exported
from vidshift.features import extract
from vidshift.kernels import Frames
from vidshift.nets import Backbone, VideoNetwork
from vidshift.nets.weights import Arrays
from vidshift.run import Run
from vidshift.shifts import Scheme
from vidshift.stream import Cache


def create(clips: jax.Array) -> None:
    model = vidshift.create(
        "resnet50",
        "tsm",
        num_classes=174,
        num_frames=8,
        dtype=jnp.bfloat16,
        rngs=nnx.Rngs(0),
        fold_div=8,
        placement="block",
    )
    assert_type(model, VideoNetwork)
    assert_type(model(clips), jax.Array)
    assert_type(model.frame_logits(clips), jax.Array)
    assert_type(model.features(clips, layer="frames"), jax.Array)
    assert_type(model.num_classes, int)
    assert_type(model.causal, bool)
    training = vidshift.train_view(model, group_clips=8)
    assert_type(training, VideoNetwork)
    assert_type(training(clips, rngs=jax.random.key(0)), jax.Array)
    assert_type(vidshift.folded(model, platform="gpu"), VideoNetwork)
    module: nnx.Module = model
    vidshift.load_torch(module, {"fc.weight": np.zeros((174, 2048))}, head="skip")


def tables() -> None:
    assert_type(vidshift.BACKBONES, dict[str, Backbone])
    assert_type(vidshift.BACKBONES["resnet50"].crop, int)
    assert_type(vidshift.BACKBONES["resnet50"].make(num_classes=2), VideoNetwork)
    assert_type(vidshift.SCHEMES, dict[str, type[Scheme]])


def runs(folder: pathlib.Path) -> None:
    model = vidshift.load(folder, which="last", dtype="bfloat16")
    assert_type(model, VideoNetwork)
    clips = vidshift.read_clip("holiday.mp4", folder, clips=2, crops="whole")
    assert_type(clips, jax.Array)
    windows = extract(folder, b"", flow=folder, window=32, stride=8, fps=30.0)
    assert_type(windows, np.ndarray)
    frames = extract(folder, "a.mp4", layer="pooled", stream=True, batch_size=32)
    assert_type(frames, np.ndarray)
    assert_type(vidshift.load_adaptive(folder), Adaptive)
    networks = vidshift.load_adaptive("runs/a3d", protocol="30-view", split="test")
    small = networks.at(gflops=10)
    assert_type(small(clips), jax.Array)

    run = Run.open(folder)
    assert_type(run, Run)
    assert_type(run.classes, tuple[str, ...])
    assert_type(run.step, str)
    assert_type(run.folder, pathlib.Path)
    assert_type(run.network(soft=True), VideoNetwork)
    assert_type(run.weights()[0], Arrays)
    assert_type(run.view.num_frames, int)
    pixels = run.read_frames(b"")
    assert_type(pixels, np.ndarray)
    assert_type(run.normalise(pixels), jax.Array)
    assert_type(run.read_clip(b"", crops=3), jax.Array)
    assert_type(run.split("test", data_dir="datasets").classes, tuple[str, ...])
    assert_type(run.description.model, Mapping[str, Any])
    assert_type(run.description.name, str)


def streams(model: VideoNetwork, frame: jax.Array, reset: jax.Array) -> None:
    init, step = vidshift.stream.make(model, average="all")
    cache = init(2, size=(224, 224))
    assert_type(cache, Cache)
    logits, cache = step(cache, frame, reset=reset)
    assert_type(logits, jax.Array)
    vidshift.stream.save("cache.npz", vidshift.stream.take(cache, 0))
    cache = vidshift.stream.put(cache, 1, vidshift.stream.restore("cache.npz", cache))


def exported() -> None:
    network = vidshift.export.load("network.onnx")
    assert_type(network, Exported)
    network(np.zeros((1, 8, 224, 224, 3), np.float32))
    assert_type(network.init(batch=1), dict[str, np.ndarray])


def kernels(x: jax.Array, shift: jax.Array, weight: jax.Array) -> None:
    y = vidshift.kernels.shift3d(x, shift, stride=(1, 2, 2), max_shift=(1, 1, 1))
    assert_type(y, jax.Array)
    assert_type(vidshift.kernels.shift3d_conv(x, shift, weight, relu=True), jax.Array)
    shifted = vidshift.kernels.temporal_shift(x, fold=8, direction="past")
    assert_type(shifted, jax.Array)
    frames = Frames.of(x)
    assert_type(frames.clips(), jax.Array)
    assert_type(vidshift.kernels.temporal_shift(frames, fold=8), Frames)
    mixed = vidshift.kernels.temporal_shift_conv(x, weight, fold=8)
    assert_type(mixed, jax.Array)
    assert_type(
        vidshift.kernels.temporal_shift_conv(frames, weight, fold=8, bias=None), Frames
    )


def misuse(model: VideoNetwork, frames: Frames) -> None:
    # Each of these is an error: pyright counts a comment that silences none as one.
    vidshift.creat()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    vidshift.stream.mak()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    model("holiday.mp4")  # pyright: ignore[reportArgumentType]
    vidshift.load("runs/mine", whic="last")  # pyright: ignore[reportCallIssue]
    vidshift.kernels.shift3d(frames, frames)  # pyright: ignore[reportArgumentType]
