"""The papers' commands in small: as they are printed, but for the sizes.

A training takes one step without validation, on a miniature of its data set. A backbone
gives way to a small one with the same sites; where there is none, the training step is
traced at its full size. Other commands run on runs that were trained so.
"""

import dataclasses
import re
import shlex
import shutil
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from tests.support.miniatures import make
from vidshift import cli, config_file
from vidshift.config import Config, check
from vidshift.description import model_arguments
from vidshift.fit import aot, sizing
from vidshift.nets import create
from vidshift.nets.names import parse as parse_network
from vidshift.training.mutual import make_sampling

SIDE, FRAMES, BATCH = 32, 4, 2
# Beginning of a backbone's name -> a small one with the same sites.
SMALL = {
    "resn": "resnet_tiny",
    "rubiksnet_": "rubiksnet_micro",
    "slow_": "slow_tiny",
}
# Options that name places or blocks of a large network, and schemes of its blocks alone.
FULL_SIZE_OPTIONS = ("non_local", "layout", "modules")
FULL_SIZE_SCHEMES = ("gst",)
# Flags of other commands -> their values in small.
SIZES = {
    "stream": {"--side": 32, "--steps": 3, "--largest": 1},
    "speed": {"--side": 16, "--batch": 2, "--seconds": 0.001},
    "bench": {"--seconds": 0.001},
}


def words_of(command: str) -> list[str]:
    """Returns the arguments of a command `vidshift ...`."""
    name, *words = shlex.split(command)
    assert name == "vidshift", f"not a command: {command}"
    return words


def fields_of(words: list[str]) -> dict[str, str]:
    """Returns the flags that are written `--name=value`."""
    return dict(word.split("=", 1) for word in words if re.match(r"--[\w.-]+=", word))


def read_config(words: list[str]) -> Config:
    """Returns the config of a training as it is printed."""
    fields = [word for word in words if word.startswith("--config.")]
    return config_file.read(fields_of(words)["--config"], fields)


def small_backbone(config: Config) -> str | None:
    """Returns a small backbone for a config, None where there is none."""
    model = config.model
    given = any(getattr(model, name) is not None for name in FULL_SIZE_OPTIONS)
    if given or model.temporal in FULL_SIZE_SCHEMES:
        return None
    if config.adaptive.mode == "mutual" and model.backbone.startswith("slow_"):
        return SMALL["resn"]  # `slow_tiny` takes much longer to compile
    return next((s for n, s in SMALL.items() if model.backbone.startswith(n)), None)


def small_fields(config: Config) -> dict[str, object]:
    """Returns the fields of a training in small that are others than printed."""
    fields = {
        "model.backbone": small_backbone(config),
        "model.dtype": "float32",
        "data.num_frames": min(config.data.num_frames, FRAMES),
        "data.resize": SIDE + 4,
        "data.crop": SIDE,
        "data.workers": 0,
        "data.validation_split": "",
        "data.test_split": "",
        "batch_size": BATCH,
        "eval_batch_size": BATCH,
        "steps": 1,
        "log_steps": 1,
    }
    if config.optim.warmup_epochs:  # longer than a step
        fields["optim.warmup_epochs"] = 0.0
    if config.model.head_size:
        slow = fields["model.backbone"] == SMALL["slow_"]
        fields["model.head_size"] = SIDE if slow else None
    if config.adaptive.mode != "off":
        widths = config.adaptive.widths
        fields |= {
            "adaptive.widths": (widths[0], widths[-1]),
            "adaptive.sides": (SIDE,),
            "adaptive.frames": (2, 4) if len(config.adaptive.frames) > 1 else (4,),
            "adaptive.calibration_batches": 1,
        }
    return fields


def same_program(config: Config) -> str:
    """Returns the same text for trainings that differ in constants and data set alone."""
    numbers = {"lr": 0.1, "lr_batch_size": 1, "weight_decay": 0.0, "step_epochs": ()}
    optim = dataclasses.replace(config.optim, **numbers)
    model = dataclasses.replace(config.model, dropout=0.5)
    splits = {"train_split": "", "validation_split": "", "test_split": ""}
    data = dataclasses.replace(config.data, name="", **splits)
    same = {
        "data": data,
        "recipe": "",
        "batch_size": 1,
        "eval_batch_size": 1,
        "epochs": 1.0,
    }
    return f"{dataclasses.replace(config, optim=optim, model=model, **same)}"


def is_full_size(name: str) -> bool:
    """Says if BACKBONE/TEMPORAL:options is of a large network alone."""
    network = parse_network(name)
    return network.temporal in FULL_SIZE_SCHEMES or "layout" in network.options


def small_network(name: str) -> str:
    """Returns BACKBONE/TEMPORAL:options with a small backbone."""
    network = parse_network(name)
    if is_full_size(name):
        network = network._replace(temporal="tsm", options={})
    rubiks = network.backbone.startswith("rubiksnet_")
    network = network._replace(backbone=SMALL["rubiksnet_" if rubiks else "resn"])
    options = ",".join(f"{key}={value}" for key, value in network.options.items())
    return f"{network.backbone}/{network.temporal}" + (options and f":{options}")


def trace(config: Config) -> None:
    """Traces a training's step at its full size, and that of each width of a mutual one."""
    check(config)
    classes = sizing.known_classes()[config.data.name]
    options = config.data.options
    flow = getattr(options, "modality", "rgb") == "flow"
    network = model_arguments(
        config, num_classes=classes, channels=2 * options.stack if flow else 3
    )
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("data",))
    if config.adaptive.mode != "off":
        for one in make_sampling(config, network).all():
            if (one.side, one.frames) == (config.adaptive.sides[0], 2):
                nnx.eval_shape(lambda one=one: create(**one.of(network)))
        plain = dataclasses.replace(config.adaptive, mode="off")
        config = dataclasses.replace(config, adaptive=plain)
    program = aot.train_program(config, network, mesh)
    state, metrics = jax.eval_shape(program.step, *program.arguments)
    assert jax.tree.map(np.shape, state) == jax.tree.map(np.shape, program.arguments[0])
    assert metrics["loss"].shape == ()


class Workshop:
    """A folder in which commands run in small, each once, and what they need before.

    Args:
      folder: the working folder of all commands.
      commands: of the page, whose trainings make the runs that others name.
      video, image: what every file of the data sets holds.
    """

    def __init__(self, folder: Path, commands: list[str], video: bytes, image: bytes):
        self.folder, self.video, self.image = folder, video, image
        self.trainings = {}
        for words in map(words_of, commands):
            if workdir := fields_of(words).get("--workdir"):
                assert workdir not in self.trainings, f"two rows train {workdir}"
                self.trainings[workdir] = words
        self.done: dict[str, Path] = {}
        self.names: set[str] = set()  # of data sets
        self.measured: set[str] = set()  # commands that are no trainings
        self.splits: dict[str, str] = {}
        (folder / "clip.mp4").write_bytes(video)
        for split in ("train", "validation"):
            for name in ("cat", "dog"):
                (folder / "images" / split / name).mkdir(parents=True)
                for number in range(2):
                    file = folder / "images" / split / name / f"{number}.jpg"
                    file.write_bytes(image)

    def run(self, command: str) -> None:
        """Runs a command in small; an error of any is one of it."""
        words = words_of(command)
        for run in re.findall(r"runs/\w+", command):
            if run != fields_of(words).get("--workdir"):
                self.have(run)
        chosen = [x for x in words if x.startswith(("--gflops", "--budget"))]
        if chosen:  # of the table that another command measures
            run = fields_of(words)["--run"]
            self.run(f"vidshift budgets --run={run} --protocol=30-view")
        if words[0] == "train":
            self.train(words)
        elif command not in self.measured:
            self.call(self.in_small(words))
            self.measured.add(command)

    def small_training(
        self, words: list[str], config: Config
    ) -> tuple[list[str], Config]:
        """Returns a training's arguments and config in small."""
        fields = {f"--config.{k}": v for k, v in small_fields(config).items()}
        flags = [f"{name}={value}" for name, value in fields.items()]
        kept = [word for word in words if word.partition("=")[0] not in fields]
        return kept + flags, read_config(kept + flags)

    def have(self, run: str) -> None:
        """Trains a run if it is not there."""
        if not (self.folder / run).exists():
            assert run in self.trainings, f"no row trains {run}"
            self.run(shlex.join(["vidshift", *self.trainings[run]]))

    def train(self, words: list[str]) -> None:
        config = read_config(words)
        workdir = fields_of(words).get("--workdir")
        if small_backbone(config) is None:
            assert workdir is None, f"{workdir} is only traced"
            if same_program(config) not in self.done:
                trace(config)
                self.done[same_program(config)] = self.folder
            return
        words, small = self.small_training(words, config)
        key = same_program(small)
        own = f"{key} {config.data.name}"  # a run that others name is of its own data
        target = self.folder / (workdir or f"trained/{len(self.done)}")
        if workdir:
            self.splits[workdir] = config.data.validation_split
        elif key in self.done and config.data.name in self.names:
            return
        if own in self.done:
            if workdir and not target.exists():
                shutil.copytree(self.done[own], target)
            return
        if config.data.name != "image_folder":
            self.prepare(config)
        words = [word for word in words if not word.startswith("--workdir=")]
        self.call([*words, f"--workdir={target}"])
        self.done[key] = self.done[own] = target
        self.names.add(config.data.name)

    def prepare(self, config: Config) -> None:
        """Prepares a data set in miniature, if it is not there."""
        modality = getattr(config.data.options, "modality", "rgb")
        name = config.data.name
        folder = self.folder / "prepared" / f"{name}-{modality}"
        if not folder.exists():
            self.source(name)
            flags = [f"--source=sources/{name}", "--out=datasets"]
            self.call(["prepare", name, *flags, f"--modality={modality}"])
            folder.mkdir(parents=True)

    def source(self, name: str) -> None:
        folder = self.folder / "sources" / name
        if not folder.exists():
            make(name, folder, self.video, self.image)

    def in_small(self, words: list[str]) -> list[str]:
        """Returns another command's arguments with small sizes."""
        name = words[0]
        runs = re.findall(r"runs/\w+", " ".join(words))
        scores = name in ("eval", "compare", "early", "budgets", "pictures")
        if runs and scores and "--split" not in " ".join(words):
            words = [*words, f"--split={self.splits[runs[0]]}"]
        if name == "cost":  # tests/cost counts the networks themselves
            words = [w if w[0] == "-" or w == name else _counted(w) for w in words]
        if name == "prepare":
            self.source(words[1])
            words = [word.replace("SOURCE", f"sources/{words[1]}") for word in words]
        if name == "budgets" and runs:
            words = [self.budget_size(word) for word in words] + ["--no-latency"]
            if "--gflops" not in " ".join(words):  # one or two sub-networks
                given = {"--widths": 1, "--frames": FRAMES} | fields_of(words)
                words += [f"{flag}={given[flag]}" for flag in ("--widths", "--frames")]
        elif name == "budgets":
            fields = small_fields(read_config(words))
            words = [*words, *(f"--config.{k}={v}" for k, v in fields.items())]
        if name == "stream" and "--capacity" in words:
            words = [re.sub(r"(?<=--network=).*", _small, word) for word in words]
        sizes = SIZES.get(name, {})
        if name == "stream" and "--capacity" not in words:
            sizes = {}
        return [*words, *(f"{flag}={value}" for flag, value in sizes.items())]

    def budget_size(self, word: str) -> str:
        """Returns a flag of `vidshift budgets` for a run of 32 pixels and 4 frames."""
        flag, _, value = word.partition("=")
        if flag == "--crop":
            return f"--crop={SIDE + 4}"
        if flag == "--sides":
            sides = {
                str(round((SIDE + 4) * int(side) / 256)) for side in value.split(",")
            }
            smallest, *_, largest = sorted(sides, key=int) * 2
            return f"--sides={','.join(dict.fromkeys((smallest, largest)))}"
        if flag == "--frames":
            frames = {str(min(int(frames), FRAMES)) for frames in value.split(",")}
            return f"--frames={','.join(sorted(frames))}"
        return word

    def call(self, words: list[str]) -> None:
        assert cli.run(words) == 0, shlex.join(words)


def _small(found: re.Match) -> str:
    return small_network(found[0])


def _counted(name: str) -> str:
    return name if is_full_size(name) else small_network(name)
