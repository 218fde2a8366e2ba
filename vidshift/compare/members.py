"""Runs, checkpoints and files of scores, evaluated where they are not yet."""

import argparse
import dataclasses
import pathlib
import shlex

from vidshift import checkpoints, cli
from vidshift import eval as evaluation
from vidshift.checkpoints import checksums
from vidshift.command_line.progress import to_stderr
from vidshift.evaluation import score_files
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.protocols import chosen
from vidshift.evaluation.score_files import Origin
from vidshift.run import Run


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """Scores to compare, and the run they are of, or None if it is not there."""

    name: str
    source: str
    file: pathlib.Path
    run: Run | None
    scores: Scores
    classes: tuple[str, ...]
    origin: Origin


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A source that was found; `file` is None where it is still to be evaluated."""

    source: str
    # Given as NAME=SOURCE; "" without.
    given_name: str
    # Arguments of `vidshift eval`; none of a file.
    arguments: tuple[str, ...]
    run: Run | None
    file: pathlib.Path | None

    @property
    def place(self) -> pathlib.Path:
        """The checkpoint that is evaluated, or the given file of scores."""
        given = self.run.checkpoint if self.run and self.arguments else self.source
        return pathlib.Path(given).resolve()

    @property
    def command(self) -> str:
        return shlex.join(["vidshift", "eval", *self.arguments])


def find(source: str, options: argparse.Namespace) -> Found:
    """Finds a source's scores without computing any.

    Args:
      source: a run's folder, a checkpoint or a file of scores, perhaps after `NAME=`.
      options: of `vidshift compare`.

    Raises:
      ValueError: nothing complete is there, or a file does not say what it is of.
    """
    name, path = _named(source)
    if path.endswith(".npz"):
        origin = score_files.read(pathlib.Path(path)).origin
        if origin is None:
            raise ValueError(
                f"{path} does not say which split and protocol it is of, as an older "
                "vidshift wrote it: give the run, or evaluate it again"
            )
        return Found(path, name, (), _run_of(origin), pathlib.Path(path))
    run = Run.open(path, options.checkpoint)
    arguments = _arguments(run, options)
    _, wanted = cli.parse(["eval", *arguments])
    protocol = chosen(wanted.protocol, wanted.average)
    origin = evaluation.origin_of(run, protocol, wanted)
    return Found(path, name, tuple(arguments), run, _existing(run, origin))


def load(found: Found, name: str) -> Member:
    """Reads a member's scores, after its evaluation where there are none."""
    file = found.file
    if file is None:
        to_stderr(f"{name} has no such scores yet: {found.command}")
        _, wanted = cli.parse(["eval", *found.arguments])
        file = pathlib.Path(evaluation.evaluated(wanted)["scores"])
    scores, classes, origin = score_files.read(file)
    assert origin is not None  # `find` has read it, or it was written just now
    return Member(name, found.source, file, found.run, scores, classes, origin)


def names(every: list[Found]) -> list[str]:
    """Returns a short name of each source: the given one, or its run's folder.

    Raises:
      ValueError: two sources have one name.
    """
    short = [one.given_name or _folder(one) for one in every]
    unique = [
        name if short.count(name) == 1 or one.given_name else one.source
        for one, name in zip(every, short, strict=True)
    ]
    for name in unique:
        if unique.count(name) > 1:
            raise ValueError(f"{name} is given {unique.count(name)} times")
    return unique


def _named(source: str) -> tuple[str, str]:
    name, equals, path = source.partition("=")
    if not equals or "/" in name or pathlib.Path(source).exists():
        return "", source
    return name, path


def _folder(found: Found) -> str:
    if found.run is not None:
        return found.run.folder.name
    return found.source.removesuffix(".npz")


def _arguments(run: Run, options: argparse.Namespace) -> list[str]:
    """Returns the arguments of `vidshift eval` for a run."""
    data = run.description.config.data
    arguments = [
        f"--run={run.checkpoint}",
        f"--split={options.split or data.validation_split}",
        f"--protocol={options.protocol}",
        f"--batch-size={options.batch_size}",
    ]
    if options.average:
        arguments.append(f"--average={options.average}")
    if options.data_dir:
        arguments.append(f"--data-dir={options.data_dir}")
    return arguments + ["--map-classes"] * options.map_classes


def _existing(run: Run, origin: Origin) -> pathlib.Path | None:
    """Returns a file of scores beside the run that has this origin."""
    for file in sorted((run.folder / "evaluation").glob("*.npz")):
        read = score_files.read_origin(file)
        # A run may have moved: its weights' sum tells it, not its place.
        if read is not None and read._replace(checkpoint=origin.checkpoint) == origin:
            return file
    return None


def _run_of(origin: Origin) -> Run | None:
    """Opens the checkpoint that was scored, if it is still there as it was."""
    folder = pathlib.Path(origin.checkpoint)
    if not origin.weights or not (folder / checksums.FILE).is_file():
        return None
    if checksums.digest(folder, "weights") != origin.weights:
        return None
    try:
        return Run.open(folder)
    except checkpoints.CheckpointError:
        return None
