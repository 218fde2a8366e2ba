"""Features of every clip of a split, kept in files as `vidshift features` writes them."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from vidshift.command_line.progress import to_stderr
from vidshift.config import DataConfig
from vidshift.data.sources.split import Split
from vidshift.data.views import eval_views
from vidshift.devices import mesh
from vidshift.evaluation import evaluate
from vidshift.evaluation.protocols import Protocol
from vidshift.features.store import Store
from vidshift.layers.folded import folded
from vidshift.nets.weights import split as split_model
from vidshift.probe.subjects import Subject

# One clip, cut from its middle.
PROTOCOL = Protocol(1, crops=1)


class ClipFeatures(NamedTuple):
    features: Float[np.ndarray, "N C"]
    labels: Int[np.ndarray, " N"]


class Extractor:
    """Features of the clips that a subject's evaluation sees; the network is built once.

    Args:
      subject: the network.
      data: the config's data.
      folder: of the files.
      batch_size: clips at a time.
    """

    def __init__(
        self,
        subject: Subject,
        data: DataConfig,
        folder: pathlib.Path,
        *,
        batch_size: int,
    ):
        self._subject, self._data = subject, data
        self._batch_size = batch_size
        shown = dataclasses.asdict(subject.description.input)
        options = data.options
        if dataclasses.is_dataclass(options):
            options = dataclasses.asdict(options)
        settings = {
            "network": subject.description.name,
            "weights": subject.weights,
            "model": dict(subject.description.model),
            "layer": "pooled",
            "input": shown,
            "data": data.name,
            "data_dir": str(pathlib.Path(data.dir).expanduser().absolute()),
            "options": options,
        }
        # Other weights or clips have a folder of their own.
        text = json.dumps(settings, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._store = Store(folder / f"features-{digest}", settings, format="npy")

    def __call__(self, name: str, split: Split) -> ClipFeatures:
        """Returns the features of a split, from its file where there is one.

        Raises:
          ValueError: no clip can be decoded.
        """
        clips = self._store.videos.get(name, {}).get("clips")
        if clips != len(split.source) or not self._store.has(name):
            self._write(name, split)
        labels = self._store.videos[name]["labels"]
        features = np.load(self._store.file(name))
        return ClipFeatures(features, np.asarray(labels, np.int64))

    @functools.cached_property
    def _network(self):
        return split_model(folded(self._subject.network()))

    def _write(self, name: str, split: Split) -> None:
        devices = mesh.make_mesh()
        mesh.check_batch("batch-size", self._batch_size, devices)
        skeleton, *weights = self._network
        described = self._subject.description
        view, normalise = described.input.view(), described.normalise
        cut = functools.partial(
            eval_views.cut, crop=view.crop, crops=1, modality=split.modality
        )

        @jax.jit
        def step(params, stats, batch):
            video = cut(batch["video"], batch["places"], batch["swapped"], 0)
            found = skeleton.merge(params, stats).features(normalise(video))
            return found.astype(jnp.float32), batch["label"], batch["index"]

        to_stderr(f"{self._subject.name}: {len(split.source):,} clips of {name}")
        scores = evaluate.score(
            split,
            step,
            mesh.replicate(devices, tuple(weights)),
            devices,
            view=view,
            protocol=PROTOCOL,
            batch_size=self._batch_size,
            say=to_stderr,
            workers=self._data.workers,
            worker_kind=self._data.worker_kind,
        )
        for clip, reason in scores.failures:
            to_stderr(f"left out: {clip}: {reason}")
        with self._store.writing(name) as rows:
            rows.append(scores.logits)
            rows.finish(
                {
                    "clips": len(split.source),
                    "labels": scores.labels.tolist(),
                    "rows": scores.rows.tolist(),
                }
            )
        self._store.save()
