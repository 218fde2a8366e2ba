"""From a run's directory to a network that is ready to call."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.files import VIDEOS
from tests.support.networks import random_clips, random_network
from vidshift import checkpoints, create, load, read_clip
from vidshift.checkpoints import CheckpointError
from vidshift.config import Config, DataConfig, ModelConfig
from vidshift.data import Split, View, clip_from_video, normalise, open_split
from vidshift.description import Description
from vidshift.nets.hardening import for_evaluation, hardening
from vidshift.nets.weights import split
from vidshift.run import Run
from vidshift.shifts.attention import with_temperature
from vidshift.tasks import MULTI_LABEL, SINGLE_LABEL, MultiTask
from vidshift.torch_weights.files import read_torch

VIDEO = VIDEOS / "arm_wrestling.mp4"
CONFIG = Config(
    model=ModelConfig(
        backbone="resnet_tiny", temporal="tsm", causal=True, fold_div=4, dropout=0.5
    ),
    data=DataConfig(num_frames=3, resize=20, crop=16, mean=(0.5, 0.4, 0.3)),
)
DATA = Split(source=[], classes=("left", "right", "up"))
DESCRIPTION = Description.of(CONFIG, DATA)


@pytest.fixture(scope="module")
def model():
    return random_network(lambda: create(**DESCRIPTION.model))


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    _, params, stats = split(model)
    directory = tmp_path_factory.mktemp("run")
    checkpoints.write_weights(directory, params, stats, DESCRIPTION.to_json())
    return directory


def test_describes_the_network_and_its_input():
    assert DESCRIPTION.model == {
        "backbone": "resnet_tiny",
        "temporal": "tsm",
        "num_classes": 3,
        "num_frames": 3,
        "dtype": "float32",
        "causal": True,
        "fold_div": 4,
        "dropout": 0.5,
    }
    assert DESCRIPTION.input.mean == (0.5, 0.4, 0.3)
    assert DESCRIPTION.to_json()["config"]["optim"]["momentum"] == 0.9


@pytest.mark.parametrize(
    "task", [SINGLE_LABEL, MULTI_LABEL, MultiTask({"verb": 1, "noun": 2})]
)
def test_a_description_is_what_was_written(task, tmp_path):
    config = dataclasses.replace(
        CONFIG,
        data=dataclasses.replace(CONFIG.data, scales=(1.0, 0.5), mirror=("a=b",)),
    )
    description = Description.of(config, dataclasses.replace(DATA, task=task))
    arrays = {"w": np.zeros(2, np.float32)}
    checkpoints.write_weights(tmp_path, arrays, arrays, description.to_json())
    assert Run.open(tmp_path).description == description


@pytest.mark.parametrize("part", ["input", "config"])
def test_a_description_of_another_form_is_named(part, tmp_path):
    fields = DESCRIPTION.to_json()
    fields[part]["hue"] = 1
    arrays = {"w": np.zeros(2, np.float32)}
    checkpoints.write_weights(tmp_path, arrays, arrays, fields)
    with pytest.raises(CheckpointError, match=f"{tmp_path}.* other fields: .'hue'"):
        Run.open(tmp_path)


@pytest.mark.parametrize("folder", ["", "checkpoints/0"])
def test_a_loaded_network_computes_the_same(run, model, folder):
    clips = random_clips(2, 3, 16, 16, 3)
    call = jax.jit(lambda model, clips: model.frame_logits(clips))
    np.testing.assert_array_equal(call(load(run / folder), clips), call(model, clips))


@pytest.mark.parametrize("video", [str(VIDEO), VIDEO.read_bytes()])
def test_a_video_is_read_as_the_run_reads_it(run, video):
    clips = read_clip(video, run, clips=2, crops=3)
    assert clips.shape == (6, 3, 16, 16, 3)
    pixels = clip_from_video(VIDEO, View(3, 20, 16), clips=2, crops=3)
    wanted = normalise(pixels, mean=(0.5, 0.4, 0.3), std=CONFIG.data.std)
    np.testing.assert_array_equal(clips, wanted)


def test_a_causal_attention_is_hardened_to_the_past():
    names = {"backbone": "rubiksnet_micro", "temporal": "tsn", "variant": "attention"}
    model = names | {"num_classes": 2, "num_frames": 4, "causal": True}
    soft = nnx.eval_shape(lambda: create(**model))
    _, params, stats = split(soft)
    params, stats = (
        {name: jnp.zeros(a.shape, a.dtype) for name, a in part.items()}
        for part in (params, stats)
    )
    weights = [name for name in params if name.endswith("attention.weight")]
    for name in weights:  # the last tap is the present frame
        params[name] = jnp.tile(jnp.asarray([0.0, 0.0, 1.0]), (len(params[name]), 1))
    stats = with_temperature(stats, 1e-3)
    assert hardening(model, params, stats)["moved_channels"] == 0
    params[weights[0]] = params[weights[0]][:, ::-1]
    _, as_evaluated = for_evaluation(model)
    _, hardened = as_evaluated(params, stats)
    found = hardened[weights[0].replace("weight", "distance")]
    assert set(found.tolist()) == {-2}


def test_a_home_folder_in_paths(tmp_path, monkeypatch):
    """What `~` means is the same for a run, a data set, a video and a file of weights."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=f"{tmp_path}/run/checkpoints holds no"):
        load("~/run")
    with pytest.raises(ValueError, match=f"{tmp_path}/data"):
        open_split("hmdb51", "train_1", data_dir="~/data")
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=f"{tmp_path}/w.pth"):
        read_torch("~/w.pth")


def test_without_attention_nothing_is_read_to_harden(run, monkeypatch):
    monkeypatch.delattr(checkpoints, "read_weights")
    assert Run.open(run).hardening() == {}
