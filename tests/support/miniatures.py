"""Data sets in miniature: a few clips each, laid out as the official archives unpack.

Every split has at least four clips, and every data set at least two classes.
"""

import json
from collections.abc import Callable
from pathlib import Path

from vidshift.data.annotations import DATASETS

FRAMES = 12
# All but windows that are cut out of any videos, whose files have to be videos to be listed.
LISTED = [name for name in DATASETS if name != "arrow_of_time"]


def make(name: str, root: Path, video: bytes | None, image: bytes | None) -> None:
    """Writes the miniature of a data set.

    Args:
      name: one of `annotations.DATASETS`.
      root: the folder to write below, the data set's source.
      video: what every video's file holds; None: nothing.
      image: what every frame's file holds; None: nothing.
    """
    MINIATURES[name](_Writer(root, video or b"", image or b""))


class _Writer:
    def __init__(self, root: Path, video: bytes, image: bytes):
        self.root = root
        self._video = video
        self._image = image

    def text(self, path: str, *lines: str) -> None:
        self._bytes(path, "".join(f"{line}\n" for line in lines).encode())

    def json(self, path: str, content) -> None:
        self.text(path, json.dumps(content))

    def video(self, path: str) -> None:
        self._bytes(path, self._video)

    def frames(self, folder: str, name: str = "{:05d}.jpg") -> None:
        for number in range(1, FRAMES + 1):
            self._bytes(f"{folder}/{name.format(number)}", self._image)

    def _bytes(self, path: str, content: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


SOMETHING = (
    "Holding something",
    "Pulling something from left to right",
    "Pulling something from right to left",
    "Putting something upright on the table",
    "Turning the camera left while filming something",
    "Turning the camera right while filming something",
)
GESTURES = (
    "Doing other things",
    "Swiping Left",
    "Swiping Right",
    "Thumb Up",
    "Turning Hand Clockwise",
    "Turning Hand Counterclockwise",
)


def _frame_lists(write: _Writer, name: str, folder: str, classes) -> None:
    write.text(f"{name}-labels.csv", *classes)
    for split, first in (("train", 1), ("validation", 101)):
        ids = range(first, first + len(classes))
        write.text(
            f"{name}-{split}.csv",
            *(f"{id};{label}" for id, label in zip(ids, reversed(classes))),
        )
        for id in ids:
            write.frames(f"{folder}/{id}")
    test = range(201, 205)
    write.text(f"{name}-test.csv", *map(str, test))
    for id in test:
        write.frames(f"{folder}/{id}")


def _something_v1(write: _Writer) -> None:
    _frame_lists(
        write, "something-something-v1", "20bn-something-something-v1", SOMETHING
    )


def _jester(write: _Writer) -> None:
    _frame_lists(write, "jester-v1", "20bn-jester-v1", GESTURES)


def _something_v2(write: _Writer) -> None:
    # Not in the order of the numbers.
    numbers = {name: str(label) for label, name in enumerate(SOMETHING)}
    write.json("labels/labels.json", dict(reversed(numbers.items())))
    ids = dict(zip(("train", "validation", "test"), (1, 101, 201)))
    for split, first in ids.items():
        clips = list(enumerate(SOMETHING, start=first))
        for id, _ in clips:
            write.video(f"20bn-something-something-v2/{id}.webm")
        if split == "test":
            write.json("labels/test.json", [{"id": str(id)} for id, _ in clips])
            write.text("labels/test-answers.csv", *(f"{id};{c}" for id, c in clips))
            continue
        entries = [
            {
                "id": str(id),
                "label": label.lower().replace("something", "a red pen"),
                "template": label.replace("something", "[something]"),
                "placeholders": ["a red pen"],
            }
            for id, label in clips
        ]
        write.json(f"labels/{split}.json", entries)


def _kinetics400(write: _Writer) -> None:
    for number, split in enumerate(("train", "val", "test")):
        lines = []
        for clip in range(4):
            label = "riding a bike" if clip % 2 else "abseiling"
            id, start = f"-_{split}{clip:04d}", 10 * clip
            lines.append(f"{label},{id},{start},{start + 10},{split},{number}")
            write.video(f"{split}/{id}_{start:06d}_{start + 10:06d}.mp4")
        header = "label,youtube_id,time_start,time_end,split,is_cc"
        write.text(f"annotations/{split}.csv", header, *lines)


def _ucf101(write: _Writer) -> None:
    classes = ("ApplyEyeMakeup", "YoYo")
    lists = "ucfTrainTestlist"
    write.text(f"{lists}/classInd.txt", "1 ApplyEyeMakeup\r", "2 YoYo\r")
    files = [
        (f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi", label, group)
        for label, name in enumerate(classes, start=1)
        for group in (1, 2, 3)
        for clip in (1, 2)
    ]
    for file, _, _ in files:
        write.video(f"UCF-101/{file}")
    for split in (1, 2, 3):
        train = [f"{f} {label}" for f, label, group in files if group != split]
        write.text(f"{lists}/trainlist0{split}.txt", *train)
        test = [f for f, _, group in files if group == split]
        write.text(f"{lists}/testlist0{split}.txt", *test)


# Characters as in the names of real clips.
ODD = "#20_Rhythm_&_(Blues)[1];_Tom!s_{c} = 5%_+~"


def _hmdb51(write: _Writer) -> None:
    for name in ("brush_hair", "kick_ball"):
        for clip in range(7):
            write.video(f"{name}/{ODD}_{name}_f_nm_{clip}.avi")
        for split in (1, 2, 3):
            # Clip 6 is in no split.
            uses = [1 + (clip % 3 == split - 1) for clip in range(6)] + [0]
            write.text(
                f"testTrainMulti_7030_splits/{name}_test_split{split}.txt",
                *(f"{ODD}_{name}_f_nm_{n}.avi {use} " for n, use in enumerate(uses)),
            )


def _moments(write: _Writer) -> None:
    write.text("moments_categories.txt", "clapping,1", "adult+male+singing,0")
    for folder in ("training", "validation"):
        lines = []
        for clip in range(4):
            label = "clapping" if clip % 2 else "adult+male+singing"
            file = f"{label}/yt-{folder[0]}Ab.c_{clip}.mp4"
            lines.append(f"{file},{label},3,{clip % 2}")
            write.video(f"{folder}/{file}")
        write.text(f"{folder}Set.csv", *lines)


def _diving48(write: _Writer) -> None:
    vocabulary = [["Back", "15som", "05Twis", "FREE"], ["Inward", "25som", "NoTwis"]]
    write.json("Diving48_vocab.json", vocabulary)
    for split in ("train", "test"):
        entries = []
        for clip in range(4):
            name = f"-_{split}_{clip:05d}"
            write.video(f"rgb/{name}.mp4")
            entries.append(
                {
                    "vid_name": name,
                    "label": clip % 2,
                    "start_frame": 0,
                    "end_frame": FRAMES,
                }
            )
        write.json(f"Diving48_V2_{split}.json", entries)


def _epic_kitchens100(write: _Writer) -> None:
    annotations = "epic-kitchens-100-annotations/EPIC_100"
    write.text(
        f"{annotations}_verb_classes.csv",
        "id,key,instances,category",
        """0,take,"['take', 'get-from']",retrieve""",
        "1,wash,['wash'],clean",
    )
    write.text(
        f"{annotations}_noun_classes.csv",
        "id,key,instances,category",
        """0,tap,"['tap', 'tap:water']",appliances""",
        "1,plate,['plate'],crockery",
        "2,cup,['cup'],crockery",
    )
    header = (
        "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,"
        "stop_timestamp,start_frame,stop_frame,narration,verb,verb_class,noun,"
        "noun_class,all_nouns,all_noun_classes"
    )
    # (verb, noun) of the segments of a video.
    segments = {
        ("train", "P01", "P01_01"): [(0, 2), (1, 1), (0, 1)],
        ("train", "P22", "P22_107"): [(1, 2)],
        ("validation", "P01", "P01_11"): [(0, 2), (1, 1), (1, 0), (0, 1)],
    }
    rows = {"train": [header], "validation": [header]}
    for (split, person, name), labels in segments.items():
        for number, (verb, noun) in enumerate(labels):
            start, stop = f"00:00:00.{2 * number}0", f"00:00:00.{2 * number + 3}0"
            rows[split].append(
                f"{name}_{number},{person},{name},00:00:00.100,{start},{stop},1,20,"
                f"take the plate,take,{verb},plate,{noun},\"['plate', 'cup']\",\"[1, 2]\""
            )
    for split, lines in rows.items():
        write.text(f"{annotations}_{split}.csv", *lines)
    write.text(
        f"{annotations}_video_info.csv",
        "video_id,duration,fps,resolution",
        "P01_01,1.0,59.9400599400599,1920x1080",
        "P22_107,1.0,12.5,1920x1080",
    )
    for name in ("P01_01", "P01_11"):
        write.video(f"EPIC-KITCHENS/P01/videos/{name}.MP4")
    write.frames("EPIC-KITCHENS/P22/rgb_frames/P22_107", "frame_{:010d}.jpg")


def _charades(write: _Writer) -> None:
    write.text(
        "Charades/Charades_v1_classes.txt",
        "c000 Holding some clothes",
        "c001 Putting clothes somewhere",
        "c002 Taking/consuming some medicine",
    )
    for split in ("train", "test"):
        lines = ["id,subject,scene,script,actions,length"]
        for clip, actions in enumerate(
            (
                "c002 0.10 0.50;c000 0.00 0.40",
                "c001 0.20 0.30",
                "",
                "c001 0.00 0.10;c001 0.20 0.40",
            )
        ):
            id = f"{split[:2].upper()}{clip}XQ"
            script = '"She says ""hello"", sits,\nand eats."'
            lines.append(f"{id},HR43,Bedroom,{script},{actions},0.96")
            write.video(f"Charades_v1_480/{id}.mp4")
        write.text(f"Charades/Charades_v1_{split}.csv", *lines)


def _folder(write: _Writer) -> None:
    for split in ("train", "validation", "test"):
        for name in ("eating soup", "сидеть", "走る"):
            write.video(f"{split}/{name}/a clip.MP4")
            write.video(f"{split}/{name}/ночью/видео 2.mp4")
        write.frames(f"{split}/走る/駅/frames", "frame {}.jpg")
        write.video(f"{split}/走る/.hidden.mp4")


MINIATURES: dict[str, Callable[[_Writer], None]] = {
    "something_v1": _something_v1,
    "something_v2": _something_v2,
    "kinetics400": _kinetics400,
    "ucf101": _ucf101,
    "hmdb51": _hmdb51,
    "jester": _jester,
    "moments": _moments,
    "diving48": _diving48,
    "epic_kitchens100": _epic_kitchens100,
    "charades": _charades,
    "folder": _folder,
}
