"""EPIC-KITCHENS-100: 76,885 segments of 100 hours of cooking, as the cook sees it.

A segment has three labels: a verb (97), a noun (300), and the action, which is their
pair. Annotations: https://github.com/epic-kitchens/epic-kitchens-100-annotations; videos
or frames: https://epic-kitchens.github.io, whose download script gives

    SOURCE/
      epic-kitchens-100-annotations/
        EPIC_100_train.csv, EPIC_100_validation.csv
        EPIC_100_verb_classes.csv, EPIC_100_noun_classes.csv
        EPIC_100_video_info.csv     frames a second, for frames only
      EPIC-KITCHENS/
        P01/videos/P01_01.MP4, ...
        P01/rgb_frames/P01_01/frame_0000000001.jpg, ...
                                    the archives of frames unpacked, where there is no
                                    video

Annotations may also lie in SOURCE or `annotations/`, and P01, ... in SOURCE. The test's
labels are not published. The numbers of actions are those of their sorted (verb, noun)
pairs in training and validation. A mirror image keeps its labels.
"""

import dataclasses
import functools
import pathlib

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset
from vidshift.tasks import MultiTask

SPLITS = ("train", "validation")
COLUMNS = (
    *("narration_id", "participant_id", "video_id", "start_timestamp"),
    *("stop_timestamp", "verb_class", "noun_class"),
)


def read(source: pathlib.Path) -> Annotations:
    verbs, nouns = (
        _classes(_find(source, f"{kind}_classes.csv")) for kind in ("verb", "noun")
    )
    videos = _Videos(source)
    clips: dict[str, Clip] = {}
    for split in SPLITS:
        for place, row in reading.table(_find(source, f"{split}.csv"), *COLUMNS):
            start, end = (
                reading.seconds(row[column], place, column)
                for column in ("start_timestamp", "stop_timestamp")
            )
            if end <= start:
                raise AnnotationError(f"{place}: stops at {end} s, before it starts")
            verb = reading.number(row["verb_class"], place, "verb_class", len(verbs))
            noun = reading.number(row["noun_class"], place, "noun_class", len(nouns))
            path, fps = videos.of(row["participant_id"], row["video_id"])
            clip = Clip(
                id=row["narration_id"],
                path=path,
                splits=(split,),
                label=(verb, noun),
                start=start,
                end=end,
                fps=fps,
            )
            reading.add(clips, clip, place)
    pairs = sorted({clip.label for clip in clips.values()})
    actions = {pair: number for number, pair in enumerate(pairs)}
    classes = (
        *(f"verb: {name}" for name in verbs),
        *(f"noun: {name}" for name in nouns),
        *(f"action: {verbs[verb]} {nouns[noun]}" for verb, noun in pairs),
    )
    return Annotations(
        clips=tuple(
            dataclasses.replace(clip, label=(*clip.label, actions[clip.label]))
            for clip in clips.values()
        ),
        classes=classes,
        flip_labels=mirrored.unchanged(classes),
        task=MultiTask(
            {"verb": len(verbs), "noun": len(nouns), "action": len(actions)}
        ),
    )


def _find(source: pathlib.Path, name: str) -> pathlib.Path:
    name = f"EPIC_100_{name}"
    return reading.find(
        source, f"epic-kitchens-100-annotations/{name}", name, f"annotations/{name}"
    )


def _classes(path: pathlib.Path) -> list[str]:
    names = []
    for place, row in reading.table(path, "id", "key"):
        if row["id"] != str(len(names)):
            raise AnnotationError(
                f"{place}: id must be {len(names)}, got {row['id']!r}"
            )
        names.append(row["key"])
    reading.numbered(names, path)
    return names


class _Videos:
    """Finds each video, and the frames a second of one that is a folder of frames."""

    def __init__(self, source: pathlib.Path):
        self._source = source
        self._root = media.folder(source, "EPIC-KITCHENS", ".")
        self._by_stem = functools.cache(media.by_stem)
        self.of = functools.cache(self._look)

    def _look(self, participant: str, video: str) -> tuple[pathlib.Path, float | None]:
        folder = self._root / participant
        path = self._by_stem(folder / "videos").get(video)
        frames = folder / "rgb_frames" / video
        if path or not frames.is_dir():
            return path or folder / "videos" / f"{video}.MP4", None
        if not self._rates.get(video):
            raise AnnotationError(
                f"{self._info}: says no fps of {video}, which is a folder of frames"
            )
        return frames, self._rates[video]

    @functools.cached_property
    def _info(self) -> pathlib.Path:
        return _find(self._source, "video_info.csv")

    @functools.cached_property
    def _rates(self) -> dict[str, float]:
        return {
            row["video_id"]: reading.rate(row["fps"], place)
            for place, row in reading.table(self._info, "video_id", "fps")
        }


DATASET = VideoDataset(
    read,
    SPLITS,
    counts={"train": 67_217, "validation": 9_668},
    num_classes=97 + 300 + 3806,
    # Actions are the pairs of a verb and a noun in training and validation.
    task=MultiTask({"verb": 97, "noun": 300, "action": 3806}),
)
