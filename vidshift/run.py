"""A run's folder or a checkpoint, opened: its network, its input, its data."""

import dataclasses
import logging
import os
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from vidshift import checkpoints
from vidshift.adaptive import table
from vidshift.adaptive.switch import Adaptive
from vidshift.class_names import clean, difference, listed
from vidshift.data.annotations import mirrored
from vidshift.data.device.on_device import normalise
from vidshift.data.sources import relabel
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View, clip_from_video
from vidshift.description import Description, Normalise
from vidshift.nets import VideoNetwork
from vidshift.nets.hardening import for_evaluation, hardening, has_attention
from vidshift.nets.weights import Arrays

logger = logging.getLogger("vidshift")

# Folder of a run with its table of budgets.
BUDGETS = "budgets"


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """A run at a checkpoint; a converted checkpoint is a run that was never trained."""

    checkpoint: pathlib.Path
    description: Description

    @classmethod
    def open(cls, path: str | os.PathLike[str], which: str = "best") -> "Run":
        """Opens a run.

        Args:
          path: a run's folder, or one checkpoint in it.
          which: "best" by the validation's score, or "last".

        Raises:
          CheckpointError: nothing complete is there, or its description is damaged.
        """
        checkpoint = checkpoints.find(path, which)
        return cls(checkpoint, Description.read(checkpoint))

    @property
    def folder(self) -> pathlib.Path:
        return self.checkpoint.parents[1]

    @property
    def step(self) -> str:
        """The checkpoint's number of updates, as its folder is named."""
        return self.checkpoint.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.description.classes

    @property
    def view(self) -> View:
        """The view of a clip in evaluation."""
        return self.description.input.view()

    @property
    def normalise(self) -> Normalise:
        """The function from uint8 pixels to what the network takes."""
        return self.description.normalise

    def weights(self) -> tuple[Arrays, Arrays]:
        """Reads the trained parameters and statistics.

        Raises:
          CheckpointError: they are damaged.
        """
        return checkpoints.read_weights(self.checkpoint)

    def network(self, *, soft: bool = False, dtype: str | None = None) -> VideoNetwork:
        """Returns the network in evaluation mode.

        Args:
          soft: leave a RubiksNet's attention as it was trained. Otherwise it is
            hardened, and a warning is logged where channels had not decided.
          dtype: compute type; None is the run's own.
        """
        model = dict(self.description.model)
        if dtype is not None:
            model["dtype"] = dtype
        skeleton, as_evaluated = for_evaluation(model, soft=soft)
        weights = self.weights()
        undecided = 0 if soft else self.hardening(weights).get("undecided_channels", 0)
        if undecided:
            logger.warning(
                "%s: hardened, though %d channels had not decided on a shift: they are "
                "not what they were in training (soft=True leaves them so)",
                self.checkpoint,
                undecided,
            )
        return skeleton.merge(*jax.tree.map(jnp.asarray, as_evaluated(*weights)))

    def hardening(self, weights: tuple[Arrays, Arrays] | None = None) -> dict[str, Any]:
        """Returns figures of what hardening changes; {} without attention."""
        model = dict(self.description.model)
        if not has_attention(model):
            return {}  # and no array is read
        return hardening(model, *(weights or self.weights()))

    def split(
        self, name: str, *, data_dir: str | None = None, map_classes: bool = False
    ) -> Split:
        """Opens a split of the run's data set, with the classes of its network.

        A network knows its classes by number, so the data must have the same names in
        the same order.

        Args:
          name: of the split.
          data_dir: where the data set lies; None: where it lay in training.
          map_classes: take labels by name where the lists of classes differ. Clips of
            a class that the run does not have are left out, and counted.

        Raises:
          ValueError: there is no such folder or split, or the data have other classes
            than the run; the error names what differs.
        """
        data = self.description.config.data
        folder = data_dir or data.dir
        if not pathlib.Path(folder).expanduser().is_dir():
            raise ValueError(f"there is no folder {folder}: give --data-dir")
        split = open_split(data.name, name, data_dir=folder, options=data.options)
        split = self._with_classes(split, f"{data.name} in {folder}", map_classes)
        if not data.mirror:
            return split
        # The pairs are of the run's classes, which the split has only now.
        pairs = mirrored.with_pairs(split.classes, split.flip_labels, data.mirror)
        return dataclasses.replace(split, flip_labels=pairs)

    def _with_classes(self, split: Split, place: str, map_classes: bool) -> Split:
        """Returns the split with the run's classes; raises where it has others."""
        task = self.description.task
        kind = split.task.to_json()
        for field, ours in task.to_json().items():
            if ours != kind[field]:
                raise ValueError(
                    f"{self.checkpoint} was trained with {field}={ours}, and {place} has "
                    f"{field}={kind[field]}"
                )
        numbers = tuple(map(str, range(len(split.classes))))
        trained = (self.checkpoint / "training").is_dir()
        if self.classes == numbers and not trained:  # converted, without names
            print(
                f"{self.checkpoint} has no names of classes: its {len(self.classes)} are "
                f"taken in the order of {place}",
                file=sys.stderr,
            )
            return split
        differs = difference(
            self.classes, split.classes, us="the run", them="the data set"
        )
        if not differs:
            return split
        message = f"{self.checkpoint} and {place} have other classes: {differs}"
        known, offered = (set(map(clean, it.classes)) for it in (self, split))
        if not (task.one_list and len(known) == len(self.classes) and known & offered):
            raise ValueError(message)
        if not map_classes:
            raise ValueError(f"{message}; --map-classes takes them by name")
        print(f"{message}; taken by name", file=sys.stderr)
        mapped = relabel.by_name(split, self.classes)
        if unknown := [name for name in split.classes if clean(name) not in known]:
            clips, kept = len(split.source), len(mapped.source)
            what = task.several or f"{clips - kept:,} of {clips:,} clips"
            print(
                f"left out, as the run has no such class: {what}, of {listed(unknown)}",
                file=sys.stderr,
            )
        if not len(mapped.source):
            raise ValueError(f"{message}; no clip of the split has a class of the run")
        return mapped

    def read_frames(
        self,
        video: str | os.PathLike[str] | bytes,
        *,
        clips: int = 1,
        crops: int | str = 1,
        full: bool = False,
    ) -> UInt8[np.ndarray, "V T S s C"]:
        """Reads the pixels of a video file that the network sees.

        Arguments and errors are those of `vidshift.read_clip`, which normalises them.
        """
        shown = self.description.input
        if shown.modality == "flow":
            raise ValueError(
                f"{self.folder} takes optical flow, which `vidshift prepare` "
                "computes; a video file is not enough"
            )
        view = self.view
        if full:
            view = dataclasses.replace(view, crop=view.resize)
        if not isinstance(video, bytes):
            video = os.path.expanduser(video)
        return clip_from_video(
            video, view, clips=clips, crops=crops, more=shown.following
        )

    def read_clip(
        self,
        video: str | os.PathLike[str] | bytes,
        *,
        clips: int = 1,
        crops: int | str = 1,
        full: bool = False,
    ) -> jax.Array:
        """Reads a video file as the network takes it; see `vidshift.read_clip`."""
        frames = self.read_frames(video, clips=clips, crops=crops, full=full)
        return normalise(frames, **self.description.input.normalisation("float32"))

    def adaptive(self, **conditions: str | int | None) -> Adaptive:
        """Returns the network at every budget; see `vidshift.load_adaptive`."""
        run = Run.open(
            self.folder
            / checkpoints.DIRECTORY
            / table.read(self.folder / BUDGETS).checkpoint
        )
        model = dict(run.description.model)
        return Adaptive(model, run.weights()[0], self.folder / BUDGETS, **conditions)


def load(
    run: str | os.PathLike[str],
    *,
    which: str = "best",
    soft: bool = False,
    dtype: str | None = None,
) -> VideoNetwork:
    """Returns the network of a run or checkpoint, in evaluation mode.

    Args:
      run: a run's directory, one checkpoint in it, or a converted checkpoint.
      which: "best" by the validation's score, or "last".
      soft, dtype: see `Run.network`.

    Raises:
      CheckpointError: nothing complete is there.
    """
    return Run.open(run, which).network(soft=soft, dtype=dtype)


def load_adaptive(
    run: str | os.PathLike[str],
    *,
    protocol: str | None = None,
    split: str | None = None,
) -> Adaptive:
    """Returns an A3D run's network at every budget: `.at(gflops=10)(clips)`.

    Args:
      run: a run's directory.
      protocol, split: of the evaluation whose rows are chosen from, where the table has
        rows of several.

    Raises:
      CheckpointError: nothing complete is there.
      ValueError: `vidshift budgets` has not made its table, or made it of another
        checkpoint than is left, or its rows are of several evaluations.
    """
    return Run.open(run).adaptive(protocol=protocol, split=split)


def read_clip(
    video: str | os.PathLike[str] | bytes,
    run: str | os.PathLike[str],
    *,
    clips: int = 1,
    crops: int | str = 1,
    full: bool = False,
) -> jax.Array:
    """Reads a video file as the run's network takes it: `[views, T, h, w, 3]`.

    Frames, size and normalisation are those of the run's evaluation.

    Args:
      video: path, or bytes of the file.
      run: a run or checkpoint.
      clips: clips of the video.
      crops: 1, 3 or 10 crops of each, or "whole".
      full: crops of the whole short side.

    Raises:
      ValueError: the run's network takes optical flow; clips or crops not supported.
      VideoError: the file is missing, empty, damaged or not a video.
      CheckpointError: `run` is no run or checkpoint.
    """
    return Run.open(run).read_clip(video, clips=clips, crops=crops, full=full)
