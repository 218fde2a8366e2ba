"""Measures this machine's device: `vidshift measure`."""

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

from vidshift.command_line import errors
from vidshift.command_line.progress import working
from vidshift.measure import page
from vidshift.measure.folder import Folder, write_json
from vidshift.measure.parts import PARTS

PACKAGE = pathlib.Path(__file__).parents[1]
# A part that has less is left for the next call: its imports take as long.
LEAST_SECONDS = 10.0
DEVICE_SECONDS = 120.0
PYTORCH = ("--how=eager", "--how=compile", "--batch=16", "--batch=64", "--seconds=0.5")
SMALL_PYTORCH = ("--how=eager", "--batch=2", "--train-batch=2", "--seconds=0.01")
SMALL_PYTORCH += ("--backbone=resnet18", "--side=32", "--num-frames=2")


def main(options: argparse.Namespace) -> int:
    errors.check_out("--out", options.out, folder=True)
    folder = Folder(options.out)
    if not options.render:
        begin = time.monotonic()
        about = facts(options)
        folder.open(about, restart=options.restart)
        left = sum(PARTS[name].seconds for name in set(options.parts))
        end = begin + 60 * options.minutes
        for name in PARTS:
            if name not in options.parts:
                continue
            # What earlier parts left is shared by those that follow.
            seconds = (end - time.monotonic()) * PARTS[name].seconds / left
            left -= PARTS[name].seconds
            run(name, folder, about, seconds)
            print(page.outcome(name, folder.read(name)), flush=True)
    measured = collect(folder)
    write_json(options.out / "measured.json", measured)
    (options.out / "measured.md").write_text(page.render(measured))
    if not page.unfinished(measured):
        shutil.rmtree(options.out / "compiled", ignore_errors=True)
    print(f"written to {options.out / 'measured.md'}, and as JSON beside it")
    wrong = page.wrong(measured)
    if wrong:
        print(f"WRONG: {'; '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def collect(folder: Folder) -> dict:
    """Returns what the folder holds, as `measured.json` has it."""
    return {
        "about": folder.about(),
        "parts": {n: folder.read(n) for n in PARTS if folder.file(n).is_file()},
    }


def facts(options: argparse.Namespace) -> dict:
    """Returns the facts of the device, the versions and the options.

    Raises:
      RuntimeError: JAX finds no device.
      ValueError: networks of full size would be measured on a CPU.
    """
    with working("looking for the device"):
        try:
            done = subprocess.run(
                [sys.executable, "-m", "vidshift.measure.device"],
                check=False,
                capture_output=True,
                text=True,
                env=environment(),
                timeout=DEVICE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(
                f"JAX has found no device within {DEVICE_SECONDS:.0f} s"
            ) from None
    if done.returncode:
        raise RuntimeError(f"no device: {last_line(done.stderr)}")
    about = json.loads(done.stdout.splitlines()[-1])
    if about["platform"] == "cpu" and not options.small:
        raise ValueError(
            f"here is no accelerator but a CPU ({about['device']}), which the networks of "
            "full size would take hours on; --small measures small ones"
        )
    return about | {
        "small": options.small,
        "dtype": options.dtype,
        "date": f"{datetime.date.today():%d %B %Y}".lstrip("0"),
        "command": shlex.join(sys.argv),
    }


def run(name: str, folder: Folder, about: dict, seconds: float) -> None:
    """Runs a part for so long at most; its rows, and a note of how it ended, are kept."""
    if seconds < LEAST_SECONDS:
        return folder.add(name, {"note": f"not started with {seconds:.0f} s left"})
    if name == "pytorch" and (missing := _missing_for_pytorch()):
        return folder.add(name, {"note": f"left out: {missing} is not installed"})
    note = None
    with (
        folder.file(name).open("ab") as rows,
        (folder.path / f"{name}.log").open("wb") as log,
        working(f"{name}: {PARTS[name].title} (at most {seconds:.0f} s)", begin=True),
    ):
        process = subprocess.Popen(
            command(name, folder, about),
            stdout=rows,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,  # its own processes end with it
        )
        try:
            code = process.wait(timeout=seconds)
            if code:
                said = last_line((folder.path / f"{name}.log").read_text())
                note = f"ended with code {code}: {said}"
        except subprocess.TimeoutExpired:
            note = f"cut off after {seconds:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    folder.add(name, {"note": note})


def command(name: str, folder: Folder, about: dict) -> list[str]:
    """Returns the command of a part."""
    sizes = SMALL_PYTORCH if about["small"] else PYTORCH
    if name != "pytorch":
        arguments = ["--folder", str(folder.path), "--platform", about["platform"]]
        arguments += ["--dtype", about["dtype"]] + ["--small"] * about["small"]
        return [sys.executable, "-m", "vidshift.measure.part", name, *arguments]
    script = str(PACKAGE / "measure" / "pytorch.py")
    arguments = ["--json", "--rows", str(folder.file(name)), "--dtype", about["dtype"]]
    # Without its folder on the path: modules there have names of other packages.
    return [sys.executable, "-P", script, *arguments, *sizes]


def environment() -> dict[str, str]:
    """Returns the variables of a part, which finds the same vidshift as this process."""
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _missing_for_pytorch() -> str | None:
    for package in ("torch", "torchvision"):
        if importlib.util.find_spec(package) is None:
            return package
    return None
