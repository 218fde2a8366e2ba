"""TFDS's own video feature, every frame a PNG, read by tf.data: beside ours in the bench."""

import contextlib
import io
import pathlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.loading.loaders import Contender
from vidshift.data.annotations.clip import Clip
from vidshift.data.records import storage
from vidshift.data.views.crop import crop_resize, random_box
from vidshift.data.views.view import View

# Each is some tens of megabytes.
COPIES = 2


def contenders(
    path: pathlib.Path, out: pathlib.Path, view: View, *, cores: int
) -> tuple[dict, list[Contender]]:
    """Decodes all frames of a record, as TFDS does by default, or only those of a clip.

    Returns:
      A row of what is stored, as `loaders.prepare`; and the two contenders.

    Raises:
      ImportError: TensorFlow is not installed.
    """
    import tensorflow as tf

    began = time.process_time()
    builder = _built(path, out)
    stored = {
        "storage": "TFDS PNG",
        "bytes": builder.info.dataset_size // COPIES,
        "store_seconds": (time.process_time() - began) / COPIES,
    }
    read = tfds.ReadConfig(try_autocache=False)

    def indices(count):
        part = tf.cast(count, tf.float32) / view.num_frames
        places = tf.range(view.num_frames, dtype=tf.float32)
        places += tf.random.uniform([view.num_frames])
        return tf.minimum(tf.cast(places * part, tf.int32), count - 1)

    def all_frames(record):
        return tf.gather(record["video"], indices(tf.shape(record["video"])[0]))

    def sampled(record):
        chosen = tf.gather(record["video"], indices(tf.shape(record["video"])[0]))
        decode = lambda data: tf.io.decode_png(data, channels=3)
        return tf.map_fn(decode, chosen, fn_output_signature=tf.uint8)

    def clips(choose: Callable, decoders) -> Iterator[np.ndarray]:
        data = builder.as_dataset("train", read_config=read, decoders=decoders)
        data = data.repeat().map(choose, num_parallel_calls=tf.data.AUTOTUNE)
        rng = np.random.default_rng(0)
        for frames in data.prefetch(1).as_numpy_iterator():
            sizes = {"resize": view.resize, "crop": view.crop}
            box = random_box(*frames.shape[1:3], **sizes, rng=rng)
            yield crop_resize(frames, box, view.crop)

    left_encoded = {"video": tfds.decode.SkipDecoding()}
    return stored, [
        Contender(
            {"storage": "TFDS PNG", "decoder": decoder, "loads": "tf.data"}
            | {"workers": cores},
            lambda seconds, choose=choose, decoders=decoders: _turn(
                clips(choose, decoders), seconds
            ),
        )
        for decoder, choose, decoders in (
            ("all frames", all_frames, None),
            ("sampled frames", sampled, left_encoded),
        )
    ]


def _turn(clips: Iterator[np.ndarray], seconds: float) -> tuple[float, None]:
    for _ in range(2):  # tf.data learns how many threads to take
        next(clips)
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or not count:
        next(clips)
        count += 1
    return count / passed, None


def _built(path: pathlib.Path, out: pathlib.Path) -> tfds.core.DatasetBuilder:
    clip = Clip(id=path.name, path=path, splits=("train",), label=0)
    frames = list(storage.Pictures(clip, storage.SHORT_SIDE))
    shape = (None, *frames[0].shape)

    class PngVideos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        url_infos = None

        def _info(self):
            features = {"video": tfds.features.Video(shape=shape)}
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def _split_generators(self, dl_manager):
            return {"train": ((i, {"video": frames}) for i in range(COPIES))}

        def _generate_examples(self):
            raise NotImplementedError("the split has them")

    builder = PngVideos(data_dir=str(out))
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                try_download_gcs=False, compute_stats="skip"
            )
        )
    return builder
