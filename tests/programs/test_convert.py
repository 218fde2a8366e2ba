"""From a PyTorch file to a checkpoint that everything else takes."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from tests.support.commands import finish, start_program, train
from tests.support.files import VIDEOS
from tests.support.networks import random_clips
from tests.torch_weights.test_files import storage, tensor, write_stream
from tests.torch_weights.test_load import GOLDEN, state_dict
from vidshift import checkpoints, cli, convert, create, load, load_torch, parity
from vidshift.data import normalise
from vidshift.nets.drawn import made_up_weights
from vidshift.pixels import official_pixels

VIDEO = VIDEOS / "arm_wrestling.mp4"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Writes state dicts as files, and gives their paths."""
    folder = tmp_path_factory.mktemp("files")

    def write(name, arrays):
        safetensors.numpy.save_file(
            {k: np.asarray(a, order="C") for k, a in arrays.items()}, folder / name
        )
        return str(folder / name)

    return write


@pytest.fixture(scope="module")
def tsm(files):
    return files("tsm.safetensors", state_dict())


def run(capsys, *arguments, code=0) -> str:
    """What the command prints; with a code, its one line of error."""
    assert cli.run(["convert", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    if code:
        # What goes on is said too, where the machine is so busy that it takes a second.
        *before, line = err.splitlines()
        assert not out and "error:" not in "".join(before), err
        assert line.startswith("vidshift convert: error: ")
        return line.removeprefix("vidshift convert: error: ")
    return out


TINY = ("--backbone", "resnet_tiny")


def logits(model, clips):
    return jax.jit(lambda model, clips: model(clips))(model, clips)


@pytest.mark.slow
def test_a_converted_network_computes_the_same(tsm, tmp_path, capsys):
    out = run(capsys, tsm, *TINY, "--temporal=tsm", "--out", tmp_path)
    assert out == (
        f"{tmp_path}: resnet_tiny/tsm from tsm's names, 47 arrays, 77,652 parameters, "
        "4 classes\nnot used: 9 counts of batches\n"
    )
    model = nnx.eval_shape(
        lambda: create("resnet_tiny", "tsm", num_classes=4, num_frames=8)
    )
    load_torch(model, state_dict())
    clips = random_clips(2, 8, 16, 16, 3)
    np.testing.assert_array_equal(logits(load(tmp_path), clips), logits(model, clips))


def test_says_what_the_network_is_and_sees(tsm, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("left\nright\nup\ndown\n")
    given = ("--temporal=tsm", "--option=fold_div=4", "--option=placement=block")
    given += ("--num-frames=16", "--classes", names, "--data=ordered_motion")
    block = state_dict(net="")  # a whole block is wrapped, not its first convolution
    block = {k.replace(".0.", ".0.net.", 1): a for k, a in block.items()}
    path = tmp_path / "block.safetensors"
    safetensors.numpy.save_file(
        {k: np.asarray(a, order="C") for k, a in block.items()}, path
    )
    run(capsys, path, *TINY, *given, "--out", tmp_path / "run")
    found = checkpoints.read_description(checkpoints.find(tmp_path / "run"))
    assert found["model"] == {
        "backbone": "resnet_tiny",
        "temporal": "tsm",
        "num_classes": 4,
        "num_frames": 16,
        "dtype": "float32",
        "dropout": 0.5,
        "fold_div": 4,
        "placement": "block",
    }
    assert found["classes"] == ["left", "right", "up", "down"]
    assert found["input"] == {
        "num_frames": 16,
        "resize": 256,
        "crop": 224,
        "sampling": "segments",
        "frame_stride": 8,
        "stride_fps": 30.0,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "modality": "rgb",
        "stack": 1,
        "pixel_aspect": "ignore",
    }
    assert found["config"]["data"]["name"] == "ordered_motion"
    assert found["config"]["model"]["fold_div"] == 4


def test_a_training_programs_file(tmp_path, capsys):
    arrays = {f"module.{name}": array for name, array in state_dict().items()}
    arrays = {k: np.asarray(a, np.float32) for k, a in arrays.items()}
    weights = {
        name: tensor(
            storage("FloatStorage", name, array.size),
            array.shape,
            tuple(stride // 4 for stride in array.strides),
        )
        for name, array in arrays.items()
    }
    content = {"epoch": 3, "state_dict": weights, "arch": "resnet"}
    path = write_stream(tmp_path / "a.pth.tar", content, arrays)
    out = run(capsys, path, *TINY, "--temporal=tsm", "--out", tmp_path)
    assert out.endswith("\nnot used: 9 counts of batches, epoch, arch\n")
    kernel = load(tmp_path).fc.kernel[...]
    np.testing.assert_array_equal(kernel, state_dict()["new_fc.weight"].T)


@pytest.mark.slow
def test_a_new_head(files, tmp_path, capsys):
    path = files("a.safetensors", state_dict("", "", "fc", classes=1000))
    given = (path, *TINY, "--skip-head", "--num-classes=2000", "--out", tmp_path)
    out = run(capsys, *given)
    assert "45 arrays, 207,392 parameters, 2000 classes" in out
    assert "not used: 9 counts of batches, fc.weight, fc.bias\n" in out
    assert out.endswith("\nnew: fc.bias, fc.kernel\n")
    head = load(tmp_path).fc
    assert head.kernel.shape == (64, 2000)
    assert abs(np.std(head.kernel[...]) / 0.001 - 1) < 0.02
    assert not np.any(head.bias[...])


@pytest.mark.slow
def test_classes_are_counted(files, tmp_path, capsys):
    whole = files("whole.safetensors", state_dict())
    headless = {k: a for k, a in state_dict().items() if not k.startswith("new_fc")}
    headless = files("headless.safetensors", headless)
    names = tmp_path / "three.txt"
    names.write_text("a\nb\nc\n")
    given_tsm = (*TINY, "--temporal=tsm", "--out", tmp_path)
    three = f"--classes={names}"
    for given, message in (
        (
            (whole, "--num-classes=5"),
            "(the file's new_fc.weight: 4, --num-classes: 5); ",
        ),
        (
            (whole, three),
            "(the file's new_fc.weight: 4, --classes: 3); --skip-head leav",
        ),
        (
            (whole, "--skip-head", "--num-classes=5", three),
            "two numbers of classes (--num-classes: 5, --classes: 3)",
        ),
        ((headless,), "the file has no head: --skip-head draws a new one"),
        (
            (headless, "--num-classes=3"),
            "the file has no head: --skip-head draws a new",
        ),
        ((headless, "--skip-head"), "--skip-head needs --num-classes or --classes"),
    ):
        assert message in run(capsys, *given, *given_tsm, code=2)
    assert not (tmp_path / "checkpoints").exists()
    run(capsys, headless, "--skip-head", three, *given_tsm)
    assert load(tmp_path).num_classes == 3


@pytest.mark.slow
def test_flow(files, tmp_path, capsys):
    arrays = state_dict()
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(16, 10, 3, 3)).astype(np.float32)
    path = files("flow.safetensors", arrays | {"base_model.conv1.weight": kernel})
    given = (path, *TINY, "--temporal=tsm", "--out", tmp_path)
    assert run(capsys, *given, "--bgr", code=2) == (
        "--bgr is of 3 channels, the file has 10"
    )
    run(capsys, *given)
    found = checkpoints.read_description(checkpoints.find(tmp_path))
    assert found["model"]["in_channels"] == 10
    assert (
        found["input"]["mean"] == [0.5] * 10 and found["input"]["std"] == [0.226] * 10
    )
    kernel = np.moveaxis(kernel, (0, 1), (3, 2))
    np.testing.assert_array_equal(load(tmp_path).stem.conv.kernel[...], kernel)


def test_bgr(tsm, tmp_path, capsys):
    out = run(capsys, tsm, *TINY, "--temporal=tsm", "--bgr", "--out", tmp_path)
    assert out.endswith("\nthe file's network takes BGR, this one RGB\n")
    seen = checkpoints.read_description(checkpoints.find(tmp_path))["input"]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1, 2, 16, 16, 3), dtype=np.uint8)
    clips = normalise(pixels, mean=seen["mean"], std=seen["std"])
    official = nnx.eval_shape(
        lambda: create("resnet_tiny", "tsm", num_classes=4, num_frames=8)
    )
    load_torch(official, state_dict())
    bgr = pixels[..., ::-1].astype(np.float32) - np.float32([104, 117, 128])
    np.testing.assert_allclose(
        logits(load(tmp_path), clips), logits(official, bgr), rtol=1e-4, atol=1e-3
    )


def test_official_pixels():
    caffe = ((128 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3)
    assert official_pixels("bn_inception", bgr=True) == (*caffe, 256, 224)
    assert official_pixels("inception_v3", bgr=True) == (*caffe, 261, 229)
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert official_pixels("inception_v3", bgr=False) == (*imagenet, 261, 229)
    assert official_pixels("resnet50", bgr=False) == (*imagenet, 256, 224)
    slow = ((0.45,) * 3, (0.225,) * 3, 256, 256)
    assert official_pixels("slowfast_4x16_r50", bgr=False) == slow
    flow = official_pixels("bn_inception", in_channels=10, bgr=False)
    assert flow == ((128 / 255,) * 10, (1 / 255,) * 10, 256, 224)


def test_slow_networks_keep_the_pooling_that_they_were_trained_with():
    def options(*given):
        line = ["file.pyth", "--out=out", f"--backbone={given[0]}", *given[1:]]
        return convert.network_of(cli.parse(["convert", *line])[1]).options

    for backbone in ("slow_8x8_r50", "slowfast_4x16_r50", "slowfast_8x8_r50"):
        assert options(backbone) == {"head_size": 224}
        assert options(backbone, "--option=head_size=64") == {"head_size": 64}
    assert options("resnet50") == {}


def test_a_folder_with_checkpoints_is_kept(tsm, tmp_path, capsys):
    given = (tsm, *TINY, "--temporal=tsm", "--out", tmp_path)
    run(capsys, *given)
    found = checkpoints.find(tmp_path)
    before = found.stat()
    assert run(capsys, *given, "--num-frames=4", code=2) == (
        f"{tmp_path}/checkpoints already holds checkpoints"
    )
    assert found.stat() == before
    assert checkpoints.read_description(found)["input"]["num_frames"] == 8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--backbone=resnet",), "backbone 'resnet' does not exist (did you mean "),
        (
            (*TINY, "--temporal=tms"),
            "temporal scheme 'tms' does not exist (did you mean",
        ),
        (
            (*TINY, "--option=fold=3"),
            "resnet_tiny with tsn has no option fold; it takes",
        ),
        ((*TINY, "--option=fold"), "options are written key=value, got 'fold'"),
        ((*TINY, "--option=num_frames=3"), "num_frames is none of a network's own opt"),
        ((*TINY, "--data=ssv2"), "data set 'ssv2' does not exist"),
        (("--backbone=rubiksnet_micro",), "the state dict is one of a ResNet"),
        ((*TINY, "--temporal=tsn"), "the state dict does not fit the model: missing: "),
        (
            (*TINY, "--temporal=tsm", "--option=causal=true"),
            "read the next frame where those of a causal network read the previous one",
        ),
        ((*TINY, "--classes=nowhere.txt"), "No such file or directory: 'nowhere.txt'"),
    ],
)
def test_wrong_input_is_one_line(tsm, given, message, tmp_path, capsys):
    assert message in run(capsys, tsm, *given, "--out", tmp_path / "run", code=2)
    assert not (tmp_path / "run").exists()


def test_wrong_files_are_one_line(tmp_path, capsys):
    page = tmp_path / "page.pth"
    page.write_text("<html>404</html>")
    given = (*TINY, "--out", tmp_path / "run")
    assert "neither PyTorch nor safetensors wrote it" in run(
        capsys, page, *given, code=2
    )
    assert "No such file" in run(capsys, tmp_path / "no.pth", *given, code=2)


@pytest.mark.parametrize("given", ["--num-classes=0", "--num-frames=x"])
def test_counts_are_numbers_from_1(tsm, given, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.run(["convert", tsm, *TINY, "--out", str(tmp_path), given])
    assert stopped.value.code == 2
    assert f"argument {given.split('=')[0]}: " in capsys.readouterr().err


@pytest.mark.slow  # whole networks
@pytest.mark.parametrize("case", ["gsm_bninception_8f", "rubiksnet_tiny_aq"])
def test_official_networks(case, files, tmp_path, capsys):
    path = GOLDEN / f"{case}.json"
    case = json.loads(path.read_text())
    arrays = made_up_weights(case["state_dict"])
    create_with = dict(case["create"])
    of_command = ("backbone", "temporal", "num_frames")
    del create_with["num_classes"]  # the file's head says it
    given = [
        f"--{name}={value}" if name in of_command else f"--option={name}={value}"
        for name, value in create_with.items()
    ]
    weights = files("official.safetensors", arrays)
    run(capsys, weights, *given, "--out", tmp_path)
    clip = parity.made_up_clip(case)
    if create_with["backbone"] == "bn_inception":
        clip = clip[..., ::-1]  # what was BGR there is RGB here
    golden = np.load(path.with_suffix(".npz"))
    output = next(name for name in parity.OUTPUTS if name in golden)
    with jax.default_matmul_precision("highest"):
        compute = jax.jit(parity.OUTPUTS[output])
        found = compute(load(tmp_path, soft=True), clip)
    error = np.abs(found - golden[output]).max() / np.abs(golden[output]).max()
    assert error < 1e-5


@pytest.mark.slow  # two programs
def test_trains_and_classifies(files, tmp_path, data_dir, capsys):
    image = files("image.safetensors", state_dict("", "", "fc"))
    run(capsys, image, *TINY, "--out", tmp_path / "image")
    train(tmp_path / "run", data_dir, init=tmp_path / "image", model__temporal="tsm")
    video = start_program(
        "eval.py", f"--workdir={tmp_path / 'image'}", f"--video={VIDEO}"
    )
    out, _ = finish(video)
    assert len(out.splitlines()) == 4
    assert {line.split()[-1] for line in out.splitlines()} == set("0123")
