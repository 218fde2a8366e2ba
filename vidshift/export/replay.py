"""Opens an exported network, of any format; needs nothing else of vidshift.

`python replay.py FILE CLIPS.npz LOGITS.npz` runs it in a process of its own.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Exported:
    """An exported network: clips to logits, or (cache, frame) to (logits, cache).

    `description` is the JSON beside the file; `run` takes the arrays as its `inputs`
    list them and gives those that its `outputs` list.
    """

    description: dict[str, Any]
    run: Callable[..., Any]

    def __call__(self, *arrays: Any) -> Any:
        if self.description["kind"] == "clip":
            return self.run(*arrays)[0]
        cache, frame = arrays
        logits, *kept = self.run(frame, *cache.values())
        return logits, dict(zip(cache, kept, strict=True))

    def init(self, batch: int) -> dict[str, np.ndarray]:
        """Returns the cache of streams that begin."""
        return {
            array["name"]: np.zeros(
                [batch if size == "B" else size for size in array["shape"]],
                array["dtype"],
            )
            for array in self.description["inputs"][1:]
        }


def open_stablehlo(path, description: dict) -> Callable:
    import jax
    from jax import export

    run = jax.jit(export.deserialize(bytearray(path.read_bytes())).call)
    return lambda *arrays: run(*arrays)


def open_onnx(path, description: dict) -> Callable:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [array["name"] for array in description["inputs"]]
    wanted = [array["name"] for array in description["outputs"]]
    return lambda *arrays: session.run(wanted, dict(zip(names, arrays, strict=True)))


def open_tflite(path, description: dict) -> Callable:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    names = [array["name"] for array in description["inputs"]]
    wanted = [array["name"] for array in description["outputs"]]

    def call(*arrays):
        found = run(**dict(zip(names, arrays, strict=True)))
        return [found[name] for name in wanted]

    return call


OPEN = {"stablehlo": open_stablehlo, "onnx": open_onnx, "tflite": open_tflite}


def beside(path) -> pathlib.Path:
    """Returns the path of a file's description."""
    path = pathlib.Path(path).expanduser()
    return path.with_name(f"{path.name}.json")


def sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: str | os.PathLike[str]) -> Exported:
    """Opens an exported network, ready to call.

    Args:
      path: what `vidshift export` wrote, with its JSON beside it.

    Raises:
      FileNotFoundError: it is not there, or its JSON is not.
      ValueError: it is damaged, or another file than its JSON describes.
      ImportError: the format's runtime is not installed.
    """
    path = pathlib.Path(path).expanduser()
    description = json.loads(beside(path).read_text())
    if sha256(path) != description["sha256"]:
        raise ValueError(
            f"{path} is not what was exported: its SHA-256 is another than in "
            f"{beside(path)}; export it again"
        )
    return Exported(description, OPEN[description["format"]](path, description))


def replay(network: Exported, clips: np.ndarray) -> np.ndarray:
    """Computes the logits of clips, or of every frame of streams."""
    if network.description["kind"] == "clip":
        return np.asarray(network(clips))
    cache = network.init(len(clips))
    found = []
    for frame in np.moveaxis(clips, 1, 0):
        logits, cache = network(cache, np.ascontiguousarray(frame))
        found.append(np.asarray(logits))
    return np.stack(found, 1)


def main(file, clips, logits) -> None:
    network = load(file)
    with np.load(clips) as given:
        np.savez(logits, **{name: replay(network, given[name]) for name in given})


if __name__ == "__main__":
    main(*sys.argv[1:])
