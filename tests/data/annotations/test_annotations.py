"""Annotations of data sets: miniatures of the official layouts, and what is wrong."""

import importlib
import re

import pytest

from tests.support.files import VIDEOS
from tests.support.miniatures import (
    FRAMES,
    GESTURES,
    LISTED,
    ODD,
    SOMETHING,
    make,
)
from vidshift.data import annotations
from vidshift.data.annotations import (
    DATASETS,
    AnnotationError,
    folder,
    media,
    mirrored,
)
from vidshift.data.annotations.clip import UNLABELLED
from vidshift.tasks import MULTI_LABEL, MultiTask


@pytest.fixture
def read(tmp_path):
    """Makes a miniature, changes it, and reads it."""

    def read(name, change=None, **options):
        source = tmp_path / name
        if not source.exists():
            make(name, source, None, None)
        if change:
            change(source)
        return DATASETS[name].read(source, **options)

    return read


def edit(path, old, new):
    """A change: replaces the only occurrence of a text in a file."""

    def change(source):
        file = source / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, (path, old)
        file.write_text(text.replace(old, new), encoding="utf-8")

    return change


def written(path, content):
    def change(source):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )

    return change


def removed(*paths):
    return lambda source: [(source / path).unlink(missing_ok=True) for path in paths]


def renamed(old, new):
    def change(source):
        (source / new).parent.mkdir(parents=True, exist_ok=True)
        (source / old).rename(source / new)

    return change


def by_id(annotations):
    return {clip.id: clip for clip in annotations.clips}


def in_split(annotations, split):
    return [clip for clip in annotations.clips if split in clip.splits]


# --------------------------------------------------------------- all data sets
@pytest.mark.parametrize("name", LISTED)
def test_every_miniature(name, read, tmp_path):
    found = read(name)
    dataset = DATASETS[name]
    assert len(by_id(found)) == len(found.clips)
    assert len(found.classes) >= 2 and len(set(found.classes)) == len(found.classes)
    for split in dataset.splits:
        assert len(in_split(found, split)) >= 4, split
    for clip in found.clips:
        assert clip.splits and set(clip.splits) <= set(dataset.splits)
        assert clip.splits == tuple(s for s in dataset.splits if s in clip.splits)
        assert clip.path.is_relative_to(tmp_path / name)
        if clip.path.is_dir():
            assert len(list(clip.path.iterdir())) == FRAMES
        else:
            assert clip.path.is_file() and clip.fps is None
    # The mirror image of a mirror image is the clip.
    flips = found.flip_labels
    assert [flips[flips[label]] for label in flips] == list(flips)
    assert sorted(flips) == list(range(len(found.classes)))
    assert set(dataset.counts) in (set(), set(dataset.splits))
    module = importlib.import_module(f"{annotations.__name__}.{name}")
    assert module.DATASET is dataset and "SOURCE/" in module.__doc__


@pytest.mark.parametrize("name", ["something_v1", "something_v2", "jester"])
def test_a_test_whose_labels_are_not_public(name, read):
    test = in_split(read(name, removed("labels/test-answers.csv")), "test")
    assert len(test) >= 4 and {clip.label for clip in test} == {UNLABELLED}
    assert all(clip.path.exists() for clip in test)


@pytest.mark.parametrize("name", ["something_v1", "jester"])
def test_a_test_that_is_not_listed(name, read):
    prefix = {"something_v1": "something-something-v1", "jester": "jester-v1"}[name]
    assert not in_split(read(name, removed(f"{prefix}-test.csv")), "test")


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_that_is_not_there(name, tmp_path):
    with pytest.raises(AnnotationError, match="nowhere: there is no such folder$"):
        DATASETS[name].read(tmp_path / "nowhere")


REQUIRED = {
    "something_v1": "something-something-v1-validation.csv",
    "something_v2": "labels/labels.json",
    "kinetics400": "annotations/val.csv",
    "ucf101": "ucfTrainTestlist/testlist03.txt",
    "hmdb51": "testTrainMulti_7030_splits/kick_ball_test_split2.txt",
    "jester": "jester-v1-labels.csv",
    "moments": "validationSet.csv",
    "diving48": "Diving48_V2_test.json",
    "epic_kitchens100": "epic-kitchens-100-annotations/EPIC_100_video_info.csv",
    "charades": "Charades/Charades_v1_classes.txt",
}


@pytest.mark.parametrize(("name", "path"), REQUIRED.items())
def test_a_file_that_is_missing(name, path, read):
    with pytest.raises(AnnotationError) as error:
        read(name, removed(path))
    assert f"{path}: there is no such file" in str(error.value)
    assert "\n" not in str(error.value)


# (data set, file): (text there, instead) or other content, what the one line says
WRONG = {
    ("something_v1", "something-something-v1-train.csv"): [
        (("2;", "2,"), ', line 2: must be "id;label", got \\\'2,Turning'),
        (
            ("6;Holding", "6;Folding"),
            ", line 6: 'Folding .* 6 classes; the nearest is 'Holding some",
        ),
        (b"1;caf\xe9\n", ": is not text in UTF-8"),
    ],
    ("something_v1", "something-something-v1-validation.csv"): [
        (("101;", "1;"), ", line 1: 1 was listed before with another"),
    ],
    ("something_v1", "something-something-v1-labels.csv"): [
        ("A\nB\nA\n", ": lists the class 'A' twice"),
        ("\n", ": lists no class"),
    ],
    ("something_v2", "labels/labels.json"): [
        (
            ('"5"', '"6"'),
            r", 'Turning the camera right .*': the number must be .* \[0, 6\)",
        ),
        (('"5"', '"4"'), ": must number classes from 0 to their last"),
        ("[]", ": .* a dict"),
    ],
    ("something_v2", "labels/train.json"): [
        ('[{"id": "1",\n}]', ", line [12]: is not JSON"),
        (
            '[{"id": "1", "template": "A [b]"}]',
            ", entry 1: 'A b' is none of the 6 classes",
        ),
        ('[{"id": "1"}]', ", entry 1: has no template"),
        ('["1"]', ", entry 1: has no id, template"),
    ],
    ("something_v2", "labels/test-answers.csv"): [
        (("202;", "202 "), ", line 2: must be"),
    ],
    ("kinetics400", "annotations/val.csv"): [
        (
            ("youtube_id", "youtube"),
            ", line 1: has no column youtube_id; its columns are: label, youtube,",
        ),
        (
            ("abseiling,-_val0000", "absailing,-_val0000"),
            ", line 2: 'absailing' is none of the 2 classes",
        ),
    ],
    ("kinetics400", "annotations/train.csv"): [
        ((",10,20,train,0", ",10,20"), ", line 3: has 4 fields, and the first line 6"),
        (
            (",10,20,", ",ten,20,"),
            ", line 3: time_start must be a time in seconds, got 'ten'",
        ),
    ],
    ("ucf101", "ucfTrainTestlist/classInd.txt"): [
        (("2 YoYo", "3 YoYo"), ", line 2: must be \"2 CLASS\", got \\'3 YoYo\\'"),
    ],
    ("ucf101", "ucfTrainTestlist/testlist02.txt"): [
        (("YoYo/v_YoYo_g02_c01", "v_YoYo"), ", line 3: must be CLASS/FILE"),
    ],
    ("ucf101", "ucfTrainTestlist/trainlist01.txt"): [
        (("YoYo_g02_c01.avi 2", "YoYo.avi 1"), ", line 5: YoYo is class 2, got"),
    ],
    ("ucf101", "ucfTrainTestlist/testlist01.txt"): [
        (
            ("v_YoYo_g01_c01", "v_YoYo_g02_c01"),
            r", line 3: YoYo/v_YoYo_g02_c01\.avi is in train_1 already",
        ),
    ],
    ("hmdb51", "testTrainMulti_7030_splits/kick_ball_test_split3.txt"): [
        (("_1.avi 1", "_1"), ', line 2: must be "FILE 0", 1 or 2, got'),
        (("_1.a", "_0.a"), r", line 2: .*_0\.avi is in train_3 already"),
    ],
    ("moments", "trainingSet.csv"): [
        (("c_1.mp4,clapping,3,1", ""), ", line 2: m"),
    ],
    ("moments", "moments_categories.txt"): [
        (
            ("clapping,1", "clapping,one"),
            ", line 1: the class's number must be .* got 'one'",
        ),
    ],
    ("diving48", "Diving48_V2_test.json"): [
        (
            '[{"vid_name": "a", "label": 2}]',
            r", entry 1: label must be a whole number in \[0, 2\), got 2",
        ),
    ],
    ("diving48", "Diving48_vocab.json"): [
        ('["a"]', ": must hold a"),
    ],
    ("epic_kitchens100", "epic-kitchens-100-annotations/EPIC_100_noun_classes.csv"): [
        (("1,p", "3,p"), ", line 3: id must be 1, got '3'"),
    ],
    ("epic_kitchens100", "epic-kitchens-100-annotations/EPIC_100_train.csv"): [
        (
            ("00:00:00.20,00:00:00.50", "00:00:00.50,00:00:00.20"),
            r", line 3: stops at 0\.2 s, before it starts",
        ),
    ],
    ("epic_kitchens100", "epic-kitchens-100-annotations/EPIC_100_video_info.csv"): [
        (("P22_", "P21_"), ": says no fps of P22_107, which is a folder of frames"),
    ],
    ("charades", "Charades/Charades_v1_train.csv"): [
        (
            ("c001 0.20 0.30", "c001 0.20"),
            ", line 5: an action must be \\\"CODE START END\\\", got 'c001 0\\.20'",
        ),
    ],
    ("charades", "Charades/Charades_v1_classes.txt"): [
        (("c001 Putting", "c000 Putting"), r", line 2: must be a new \"CODE NAME\""),
    ],
}


@pytest.mark.parametrize(
    "name, path, change, says",
    [(*place, *row) for place, rows in WRONG.items() for row in rows],
)
def test_errors(name, path, change, says, read, tmp_path):
    changed = (
        edit(path, *change) if isinstance(change, tuple) else written(path, change)
    )
    with pytest.raises(AnnotationError, match=f"{re.escape(path)}{says}") as error:
        read(name, changed)
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- mirror images
def test_mirror_images():
    # Numbers and texts of Something-Something V2.
    classes = [f"class {label}" for label in range(174)]
    classes[50] = "Plugging something into something but pulling it right out"
    classes[86] = "Pulling something from left to right"
    classes[87] = "Pulling something from right to left"
    classes[93] = "Pushing something from left to right"
    classes[94] = "Pushing something from right to left"
    classes[119] = "Putting something upright on the table"
    classes[166] = "Turning the camera left while filming something"
    classes[167] = "Turning the camera right while filming something"
    found = mirrored.flip_labels(classes)
    moved = {label: flip for label, flip in enumerate(found) if label != flip}
    assert moved == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}
    # A part of a word is no side.
    assert mirrored.flip_labels(["upright", "upleft", "Left", "Right"]) == (0, 1, 3, 2)


# ------------------------------------------------------------ lists and frames
def test_something_v1(read, tmp_path):
    found = read("something_v1")
    assert found.classes == SOMETHING
    assert found.flip_labels == (0, 2, 1, 3, 5, 4)
    assert [clip.label for clip in in_split(found, "train")] == [5, 4, 3, 2, 1, 0]
    clip = by_id(found)["101"]
    assert clip.splits == ("validation",) and clip.fps == 12
    root = tmp_path / "something_v1" / "20bn-something-something-v1"
    assert clip.path == root / "101" and (clip.start, clip.end) == (None, None)


def test_lists_in_a_folder_with_a_byte_order_mark(read):
    listed = "".join(f"{name}\r\n" for name in SOMETHING).encode("utf-8-sig")
    plain = read("something_v1")
    found = read(
        "something_v1",
        lambda source: (
            removed("something-something-v1-labels.csv")(source),
            written("labels/something-something-v1-labels.csv", listed)(source),
        ),
    )
    assert found == plain


def test_jester(read):
    found = read("jester")
    assert found.classes == GESTURES
    # Left is right, and a mirror image turns the other way; "Thumb Up" stays.
    assert found.flip_labels == (0, 2, 1, 3, 5, 4)
    assert by_id(found)["1"].label == 5 and by_id(found)["1"].fps == 12


def test_something_v2(read):
    found = read("something_v2")
    assert found.classes == SOMETHING
    assert found.flip_labels == (0, 2, 1, 3, 5, 4)
    for split, first in (("train", 1), ("validation", 101), ("test", 201)):
        clips = in_split(found, split)
        assert [clip.label for clip in clips] == list(range(6))
        assert [clip.id for clip in clips] == [str(first + n) for n in range(6)]
    assert by_id(found)["203"].path.name == "203.webm"


def test_something_v2_of_earlier_archives(read):
    plain = read("something_v2")

    def change(source):
        for name in ("labels", "train", "validation", "test"):
            old = f"labels/{name}.json"
            renamed(old, f"something-something-v2-{name}.json")(source)
        removed("labels/test-answers.csv")(source)

    found = read("something_v2", change)
    assert found.classes == plain.classes
    assert [clip.id for clip in found.clips] == [clip.id for clip in plain.clips]
    assert in_split(found, "train") == in_split(plain, "train")
    assert {clip.label for clip in in_split(found, "test")} == {UNLABELLED}


def test_videos_in_another_container(read, tmp_path):
    root = "20bn-something-something-v2"
    found = read("something_v2", renamed(f"{root}/1.webm", f"{root}/1.mp4"))
    assert by_id(found)["1"].path.name == "1.mp4"
    found = read("something_v2", removed(f"{root}/1.mp4"))
    # What was expected.
    assert by_id(found)["1"].path == tmp_path / "something_v2" / root / "1.webm"


# --------------------------------------------------------------------- Kinetics
def test_kinetics(read, tmp_path):
    found = read("kinetics400")
    source = tmp_path / "kinetics400"
    assert found.classes == ("abseiling", "riding a bike")
    clip = by_id(found)["-_val0003_000030_000040"]
    assert clip.label == 1 and clip.splits == ("validation",)
    assert clip.path == source / "val" / "-_val0003_000030_000040.mp4"
    # The file is the clip.
    assert (clip.start, clip.end) == (None, None)


def test_kinetics_elsewhere(read, tmp_path):
    source = tmp_path / "kinetics400"

    def change(source):
        for split in ("train", "val", "test"):
            table = f"kinetics_{split}.csv"
            renamed(f"annotations/{split}.csv", table)(source)
        renamed("val", "validate")(source)
        old = "train/-_train0001_000010_000020.mp4"
        renamed(old, f"train/riding a bike/{old[6:-4]}.mkv")(source)
        renamed("train/-_train0002_000020_000030.mp4", "train/-_train0002.mp4")(source)
        removed("test/-_test0000_000000_000010.mp4")(source)
        name = "-_train0003_000030_000040.mp4"
        folder = "replacement/replacement_for_corrupted_k400"
        written(f"{folder}/{name}", "")(source)

    found = read("kinetics400", change)
    paths = [clip.path.relative_to(source).as_posix() for clip in found.clips]
    assert paths[:5] == [
        "train/-_train0000_000000_000010.mp4",
        "train/riding a bike/-_train0001_000010_000020.mkv",
        "train/-_train0002.mp4",
        "replacement/replacement_for_corrupted_k400/-_train0003_000030_000040.mp4",
        "validate/-_val0000_000000_000010.mp4",
    ]
    # Missing, and listed.
    assert paths[8] == "test/-_test0000_000000_000010.mp4" and len(paths) == 12


def test_kinetics_without_a_test(read):
    table = "youtube_id,time_start,time_end,split\nabc,0,10,test\n"
    found = read("kinetics400", written("annotations/test.csv", table))
    assert len(found.clips) == 8
    assert len(read("kinetics400", removed("annotations/test.csv")).clips) == 8


def test_kinetics_without_tables(tmp_path):
    for split in ("train", "val"):
        for name in ("abseiling", "yoga"):
            written(f"{split}/{name}/{split}{name}.mp4", "")(tmp_path)
    found = DATASETS["kinetics400"].read(tmp_path)
    assert found.classes == ("abseiling", "yoga")
    assert [(clip.splits, clip.label) for clip in found.clips] == [
        (("train",), 0),
        (("train",), 1),
        (("validation",), 0),
        (("validation",), 1),
    ]


def test_one_listing_of_a_folder(tmp_path, monkeypatch):
    for name in ("a/one.mp4", "b/one.webm", "two.AVI", "a/.x.mp4", "a/two.txt"):
        written(name, "")(tmp_path)
    asked = []
    scandir = media.os.scandir
    monkeypatch.setattr(
        media.os, "scandir", lambda path: asked.append(str(path)) or scandir(path)
    )
    found = media.by_stem(tmp_path, tmp_path / "absent")
    assert found == {"one": tmp_path / "a/one.mp4", "two": tmp_path / "two.AVI"}
    assert sorted(asked) == sorted(map(str, (tmp_path, tmp_path / "a", tmp_path / "b")))


# ------------------------------------------------------------- UCF-101, HMDB-51
def test_ucf101(read, tmp_path):
    found = read("ucf101")
    assert found.classes == ("ApplyEyeMakeup", "YoYo")
    assert len(found.clips) == 12
    clip = by_id(found)["YoYo/v_YoYo_g02_c01"]
    assert clip.label == 1 and clip.splits == ("train_1", "test_2", "train_3")
    path = tmp_path / "ucf101" / "UCF-101" / "YoYo" / "v_YoYo_g02_c01.avi"
    assert clip.path == path
    # Some copies of the test lists say the class too.
    change = edit(
        "ucfTrainTestlist/testlist02.txt", "YoYo_g02_c01.avi", "YoYo_g02_c01.avi 2"
    )
    assert read("ucf101", change) == found


def test_hmdb51(read, tmp_path):
    found = read("hmdb51")
    assert found.classes == ("brush_hair", "kick_ball")
    # The seventh of each class is in no split.
    assert len(found.clips) == 12
    id = f"kick_ball/{ODD}_kick_ball_f_nm_1"
    clip = by_id(found)[id]
    assert clip.label == 1 and clip.splits == ("train_1", "test_2", "train_3")
    assert clip.path == tmp_path / "hmdb51" / f"{id}.avi"


def test_hmdb51_in_a_folder(read, tmp_path):
    def change(source):
        for name in ("brush_hair", "kick_ball"):
            renamed(name, f"hmdb51_org/{name}")(source)
        lists = "testTrainMulti_7030_splits"
        renamed(lists, f"test_train_splits/{lists}")(source)

    found = read("hmdb51", change)
    videos = tmp_path / "hmdb51" / "hmdb51_org" / "brush_hair"
    assert found.clips[0].path.parent == videos
    assert all(clip.path.is_file() for clip in found.clips)


def test_hmdb51_without_lists(tmp_path):
    tmp_path.joinpath("testTrainMulti_7030_splits").mkdir()
    says = r"splits: there is no CLASS_test_split1\.txt"
    with pytest.raises(AnnotationError, match=says):
        DATASETS["hmdb51"].read(tmp_path)


# ---------------------------------------------------------- Moments, Diving48
def test_moments(read, tmp_path):
    found = read("moments")
    # By their numbers, not their lines.
    assert found.classes == ("adult+male+singing", "clapping")
    clip = by_id(found)["validation/clapping/yt-vAb.c_1"]
    assert clip.label == 1 and clip.splits == ("validation",)
    path = tmp_path / "moments" / "validation" / "clapping" / "yt-vAb.c_1.mp4"
    assert clip.path == path


def test_diving48(read):
    found = read("diving48")
    assert found.classes == ("Back 15som 05Twis FREE", "Inward 25som NoTwis")
    clip = by_id(found)["-_test_00003"]
    assert clip.label == 1 and clip.splits == ("test",) and clip.end is None


# ------------------------------------------------------------------ EPIC, Charades
def test_epic_kitchens(read, tmp_path):
    found = read("epic_kitchens100")
    assert found.task == MultiTask({"verb": 2, "noun": 3, "action": 5})
    assert found.classes == (
        *("verb: take", "verb: wash", "noun: tap", "noun: plate", "noun: cup"),
        *("action: take plate", "action: take cup", "action: wash tap"),
        *("action: wash plate", "action: wash cup"),
    )
    clips = by_id(found)
    # take cup, wash plate, wash tap of validation only
    assert clips["P01_01_0"].label == (0, 2, 1)
    assert clips["P01_01_1"].label == (1, 1, 3)
    assert clips["P01_11_2"].label == (1, 0, 2)
    clip = clips["P01_01_1"]
    root = tmp_path / "epic_kitchens100" / "EPIC-KITCHENS"
    assert clip.path == root / "P01" / "videos" / "P01_01.MP4"
    assert (clip.start, clip.end, clip.fps) == (0.2, 0.5, None)
    frames = clips["P22_107_0"]
    assert frames.path == root / "P22" / "rgb_frames" / "P22_107"
    assert frames.fps == 12.5


def test_epic_kitchens_times(read):
    change = edit(
        "epic-kitchens-100-annotations/EPIC_100_train.csv",
        "00:00:00.20,00:00:00.50",
        "01:02:03.25,01:02:04.50",
    )
    clip = by_id(read("epic_kitchens100", change))["P01_01_1"]
    assert (clip.start, clip.end) == (3723.25, 3724.5)


def test_epic_kitchens_elsewhere(read, tmp_path):
    source = tmp_path / "epic_kitchens100"

    def change(source):
        renamed("epic-kitchens-100-annotations", "annotations")(source)
        for person in ("P01", "P22"):
            renamed(f"EPIC-KITCHENS/{person}", person)(source)
        (source / "EPIC-KITCHENS").rmdir()
        removed("P01/videos/P01_11.MP4")(source)

    found = read("epic_kitchens100", change)
    clips = by_id(found)
    assert clips["P01_01_0"].path == source / "P01" / "videos" / "P01_01.MP4"
    # Missing, and listed.
    assert clips["P01_11_0"].path == source / "P01" / "videos" / "P01_11.MP4"
    assert clips["P22_107_0"].path.is_dir()


def test_charades(read, tmp_path):
    found = read("charades")
    assert found.task == MULTI_LABEL
    assert found.classes[2] == "Taking/consuming some medicine"
    clips = by_id(found)
    assert clips["TR0XQ"].label == (2, 0)
    assert clips["TR0XQ"].spans == ((0.1, 0.5), (0.0, 0.4))
    assert clips["TE2XQ"].label == clips["TE2XQ"].spans == ()
    # One action twice.
    assert clips["TR3XQ"].label == (1, 1)
    assert clips["TR3XQ"].spans == ((0.0, 0.1), (0.2, 0.4))
    path = tmp_path / "charades" / "Charades_v1_480" / "TR0XQ.mp4"
    assert clips["TR0XQ"].path == path


def test_charades_of_frames(read, tmp_path):
    def change(source):
        for file in list((source / "Charades_v1_480").iterdir()):
            name = file.stem
            written(f"Charades_v1_rgb/{name}/{name}-000001.jpg", "")(source)
            file.unlink()
        (source / "Charades_v1_480").rmdir()
        for name in ("train.csv", "test.csv", "classes.txt"):
            renamed(f"Charades/Charades_v1_{name}", f"Charades_v1_{name}")(source)

    clip = by_id(read("charades", change))["TR0XQ"]
    assert clip.path == tmp_path / "charades" / "Charades_v1_rgb" / "TR0XQ"
    assert clip.fps == 24 and clip.path.is_dir()


# --------------------------------------------------------------------- folder
def files(source, *paths):
    for path in paths:
        written(path, "")(source)


def read_folder(source, **options):
    return DATASETS["folder"].read(source, **options)


def test_folder_of_splits(read):
    found = read("folder", fps=25.0)
    assert found.classes == ("eating soup", "сидеть", "走る")
    assert [clip.id for clip in in_split(found, "validation")] == [
        "validation/eating soup/a clip.MP4",
        "validation/eating soup/ночью/видео 2.mp4",
        "validation/сидеть/a clip.MP4",
        "validation/сидеть/ночью/видео 2.mp4",
        "validation/走る/a clip.MP4",
        "validation/走る/ночью/видео 2.mp4",
        "validation/走る/駅/frames",
    ]
    clip = found.clips[-1]
    assert clip.label == 2 and clip.path.is_dir() and clip.fps == 25
    assert found.clips[0].fps is None


def test_folder_of_classes(tmp_path):
    names = [f"{name}/{clip}.mp4" for name in ("10", "9") for clip in range(300)]
    files(tmp_path, *names, "README.txt", ".git/x.mp4")
    found = read_folder(tmp_path)
    # Numbers sort as numbers.
    assert found.classes == ("9", "10")
    assert {clip.label for clip in found.clips if clip.id.startswith("10/")} == {1}
    counts = {split: len(in_split(found, split)) for split in ("validation", "test")}
    assert len(found.clips) == 600
    assert 35 < counts["validation"] < 85 and 35 < counts["test"] < 85
    # Other files and another share of validation clips move no test clip.
    splits = {clip.id: clip.splits for clip in found.clips}
    files(tmp_path, "9/new.mp4")
    assert all(
        splits.get(c.id, c.splits) == c.splits for c in read_folder(tmp_path).clips
    )
    tested = [clip.id for clip in in_split(found, "test")]
    (tmp_path / "9/new.mp4").unlink()
    other = read_folder(tmp_path, validation_share=0.5)
    assert [clip.id for clip in in_split(other, "test")] == tested
    assert len(in_split(other, "validation")) > 250
    none = read_folder(tmp_path, validation_share=0, test_share=0)
    assert len(in_split(none, "train")) == 600


def test_the_split_of_a_name_stays():
    """A release that moved it would test on clips that were trained on."""
    from vidshift.data.annotations.folder import _drawn

    drawn = [_drawn(f"class/{number}.mp4", (0.1, 0.1)) for number in range(40)]
    short = "".join(name[1] for name in drawn)
    assert short == "rrrerrrrrerrraraaerrrarrrrrrrrrrrrrrerrr"


def test_folder_of_every_kind_of_video(tmp_path):
    for suffix in media.VIDEOS:
        files(tmp_path, f"train/a/x{suffix}", f"train/b/x{suffix.upper()}")
    assert len(read_folder(tmp_path).clips) == 2 * len(media.VIDEOS)


def test_folder_of_frames(tmp_path):
    files(
        tmp_path,
        *("train/a/one/1.jpg", "train/a/one/2.jpg", "train/a/deep/two/1.PNG"),
        # A thumbnail beside a video; notes.
        *("train/a/films/x.mp4", "train/a/films/x.jpg", "train/a/notes/n.txt"),
    )
    ids = [clip.id for clip in read_folder(tmp_path).clips]
    assert ids == ["train/a/deep/two", "train/a/films/x.mp4", "train/a/one"]


def test_a_class_named_train(tmp_path):
    files(tmp_path, "train/1.mp4", "bus/1.mp4")
    found = read_folder(tmp_path, validation_share=0, test_share=0)
    assert found.classes == ("bus", "train")


def test_classes_beside_the_folders_of_splits(tmp_path):
    files(tmp_path, "train/day1/1.mp4", "train/day2/1.mp4", "notes/a.txt")
    assert read_folder(tmp_path).classes == ("day1", "day2")
    files(tmp_path, "boat/1.mp4", "plane/day1/1.mp4")
    says = "'train' is taken for .* beside it too, in 'boat', 'plane'; .*train/boat.* "
    with pytest.raises(AnnotationError, match=f"{says}.*train/train, train/boat"):
        read_folder(tmp_path)


@pytest.mark.parametrize("end", ["/a/2.mp4", ".csv"])
def test_one_split_under_several_names(end, tmp_path):
    files(tmp_path, *(f"{name}/a/1.mp4" for name in ("train", "val")))
    if end == ".csv":
        files(tmp_path, "train.csv", "val.csv")
    files(tmp_path, f"validation{end}")
    with pytest.raises(AnnotationError, match="'validation.*', 'val.*' are one split"):
        read_folder(tmp_path)


@pytest.mark.parametrize("fps", [0.0, float("nan"), float("inf"), 1e-320])
def test_frames_a_second_that_are_none(fps, tmp_path):
    files(tmp_path, "train/a/1/1.jpg")
    with pytest.raises(AnnotationError, match="^--fps: fps must be .*, got"):
        read_folder(tmp_path, fps=fps)


def test_a_table_for_all(tmp_path):
    table = (
        "file,label,start,end,split,id\n"
        "films/один.mp4,take off,1.5,3,train,\n"
        "films/один.mp4,land,,2,val,\n"
        "films/один.mp4,land,4,,test,\n"
        "films/../films/two.mp4,land,,,train,second\n"
        f"{tmp_path}/films/three.mp4,take off,0:01,1:00.5,validation,\n"
        "/elsewhere/four.mp4,take off,,,train,\n"
    )
    # As Excel saves it.
    written("anything.csv", table.encode("utf-8-sig").replace(b"\n", b"\r\n"))(tmp_path)
    found = read_folder(tmp_path)
    assert found.classes == ("land", "take off")
    rows = [(c.id, c.label, c.splits[0], c.start, c.end) for c in found.clips]
    assert rows == [
        ("films/один.mp4#1.5-3", 1, "train", 1.5, 3.0),
        ("films/один.mp4#-2", 0, "validation", None, 2.0),
        ("films/один.mp4#4-", 0, "test", 4.0, None),
        ("second", 0, "train", None, None),
        ("films/three.mp4#0:01-1:00.5", 1, "validation", 1.0, 60.5),
        ("/elsewhere/four.mp4", 1, "train", None, None),
    ]
    assert found.clips[0].path == tmp_path / "films" / "один.mp4"
    assert str(found.clips[-1].path) == "/elsewhere/four.mp4"


def test_a_table_for_each_split(tmp_path):
    written("train.csv", "file,label\na.mp4,2\nb.mp4,10\n")(tmp_path)
    written("val.csv", "label,file\n10,c.mp4\n")(tmp_path)
    written("test.csv", "file,label\nd.mp4,2\n")(tmp_path)
    written("notes.csv", "x\n")(tmp_path)
    found = read_folder(tmp_path)
    assert found.classes == ("2", "10")
    rows = [(clip.id, clip.label, clip.splits) for clip in found.clips]
    assert rows == [
        ("a.mp4", 0, ("train",)),
        ("b.mp4", 1, ("train",)),
        ("c.mp4", 1, ("validation",)),
        ("d.mp4", 0, ("test",)),
    ]


def test_a_split_in_a_table_that_is_named_after_one(tmp_path):
    table = "file,label,split\na.mp4,x,train\nb.mp4,x,val\nc.mp4,x,test\n"
    written("train.csv", table)(tmp_path)
    splits = [clip.splits[0] for clip in read_folder(tmp_path).clips]
    assert splits == ["train", "validation", "test"]
    written("test.csv", "file,label\nd.mp4,x\n")(tmp_path)
    with pytest.raises(
        AnnotationError, match="train.csv, line 3: split is 'val', in a"
    ):
        read_folder(tmp_path)
    # Nothing is against one that agrees.
    written("train.csv", "file,label,split\na.mp4,x,train\n")(tmp_path)
    splits = [clip.splits[0] for clip in read_folder(tmp_path).clips]
    assert splits == ["train", "test"]


def test_parts_of_a_video_stay_together(tmp_path):
    lines = [f"{n % 50}.mp4,a,{n},{n + 1}\n" for n in range(200)]
    written("one.csv", "file,label,start,end\n" + "".join(lines))(tmp_path)
    written("two.csv", "file,label\nx.mp4,b\n")(tmp_path)
    found = read_folder(tmp_path, csv="one.csv")
    splits = {}
    for clip in found.clips:
        splits.setdefault(clip.path, set()).add(clip.splits)
    assert len(splits) == 50 and all(len(of) == 1 for of in splits.values())
    assert len(set.union(*splits.values())) == 3


def test_a_table_of_frames(tmp_path):
    files(tmp_path, "one/1.jpg")
    written("train.csv", "file,label,end\none,a,0.5\n")(tmp_path)
    assert read_folder(tmp_path, fps=10.0).clips[0].fps == 10
    with pytest.raises(AnnotationError, match="line 2: one is a folder of .* need fps"):
        read_folder(tmp_path)


TABLES = [
    ("path,label\na.mp4,b\n", r"line 1: has no column file; its columns are: path, l"),
    ("", r"line 1: has no column file, label; its columns are: $"),
    ("file,label\na.mp4\n", r"line 2: has 1 fields, and the first line 2"),
    ("file,label\na.mp4,\n", r"line 2: label is empty"),
    ("file,label,end\na.mp4,b,x\n", r"line 2: end must be a time in seconds, got 'x'"),
    ("file,label,start,end\na.mp4,b,2,1\n", r"line 2: end must be after start, got 1"),
    ("file,label,split\na.mp4,b,dev\n", r"split must be train, valida.*got 'dev'"),
    (
        "file,label\na.mp4,b\nb.mp4,b\n./a.mp4,c\n",
        r"line 4: a\.mp4 is listed before: .*all\.csv, line 2",
    ),
    (
        "file,label,split\na.mp4,b,train\nb.mp4,c,validation\nc.mp4,d,test\n",
        r"all\.csv: has classes without a clip for training: c, d",
    ),
    (
        "file,label,start,label\na.mp4,b,,c\n",
        r"all\.csv, line 1: has several columns of one name: 'label'; rename or",
    ),
    ("file,label\n", r"lists no clip; expected are folders CLASS/.* columns file and"),
]


@pytest.mark.parametrize("table, says", TABLES)
def test_errors_of_a_table(table, says, tmp_path):
    written("all.csv", table)(tmp_path)
    with pytest.raises(AnnotationError, match=says) as error:
        read_folder(tmp_path)
    assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)


def test_errors_of_folders(tmp_path):
    with pytest.raises(AnnotationError, match="lists no clip; expected are folders"):
        read_folder(tmp_path)
    files(tmp_path, "val/b/x.mp4")
    files(tmp_path, "train/a/x.mp4")
    with pytest.raises(
        AnnotationError, match="without a clip for training: b, whose clips"
    ):
        read_folder(tmp_path)
    files(tmp_path, "train/b/notes.txt")
    with pytest.raises(AnnotationError, match="train/b: is a class's folder without a"):
        read_folder(tmp_path)
    files(tmp_path, "one.csv", "two.csv")
    says = r"several CSV files, of which csv has to name one: one\.csv, two\.csv"
    with pytest.raises(AnnotationError, match=says):
        read_folder(tmp_path)
    with pytest.raises(AnnotationError, match=r"three\.csv: there is no such file"):
        read_folder(tmp_path, csv="three.csv")


# ---------------------------------------------------- names of a user's own classes
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_a_label_is_one_whatever_is_around_it(tmp_path):
    table = (
        "file, label ,split\nv0.mp4,run,train\nv1.mp4, run,train\nv2.mp4,jump ,train\n"
        f"v3.mp4,\u00a0jump,train\nv4.mp4,{COMPOSED},train\nv5.mp4,{DECOMPOSED}, train\n"
        'v6.mp4, "on,  off",train\nv7.mp4,"on, off",train\n'
    )
    written("all.csv", table)(tmp_path)
    found = read_folder(tmp_path)
    assert found.classes == (COMPOSED, "jump", "on, off", "run")
    assert [clip.label for clip in found.clips] == [3, 3, 1, 1, 0, 0, 2, 2]


def test_a_file_is_found_however_its_letters_are_encoded(tmp_path):
    paths = [f"{DECOMPOSED}/{DECOMPOSED}.mp4", "plain/ space.mp4"]
    files(tmp_path, *paths)
    table = f"label,file\na, {COMPOSED}/{COMPOSED}.mp4\nb, plain/ space.mp4\n"
    written("train.csv", table)(tmp_path)
    found = read_folder(tmp_path)
    assert [clip.path for clip in found.clips] == [tmp_path / path for path in paths]
    assert found.clips[0].id == f"{COMPOSED}/{COMPOSED}.mp4"
    # Listed twice, it is one file.
    written("train.csv", f"{table}b,{DECOMPOSED}/{COMPOSED}.mp4\n")(tmp_path)
    with pytest.raises(AnnotationError, match="line 4: .* is listed before"):
        read_folder(tmp_path)


def test_folders_of_one_name_are_one_class(tmp_path):
    for name in ("run", "run ", "ru\xadn", "run\u202e", COMPOSED, DECOMPOSED):
        files(tmp_path, f"train/{name}/1.mp4")
    found = read_folder(tmp_path)
    assert found.classes == (COMPOSED, "run")
    assert len(by_id(found)) == 6 and all(clip.path.is_file() for clip in found.clips)
    assert sum("is written in several ways" in line for line in found.warnings) == 2


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (("1", "01", "2"), "'01', '1'"),
        (("Run", "run", "jump"), "'Run', 'run'"),
        (("take_off", "take off", "land"), "'take off', 'take_off'"),
        (("1 1", "11", "run", "ran"), None),
    ],
)
def test_classes_that_look_alike(names, alike, tmp_path):
    files(tmp_path, *(f"train/{name}/1.mp4" for name in names))
    found = read_folder(tmp_path)
    assert len(found.classes) == len(names)
    said = [line for line in found.warnings if "look alike" in line]
    assert len(said) == (alike is not None) and all(alike in line for line in said)


def test_one_class_and_no_clip_of_a_split_are_said(tmp_path):
    files(tmp_path, "train/only/1.mp4", "test/only/2.mp4")
    one, none = read_folder(tmp_path).warnings
    assert "has one class, 'only'" in one
    assert "no clip is for the split validation" in none
    assert "--validation-share" in none and "config.data.validation_split=" in none


def test_files_passed_over_are_counted_and_named(tmp_path):
    video = (VIDEOS / "clip_mpeg4.avi").read_bytes()
    files(tmp_path, "train/a/1.mp4", "train/a/notes.txt", "train/a/x.lmn", "b.mp4")
    # Suffixes that nobody has listed, and none: what is in the file counts.
    for name in ("video.xyz", "video", "sounds.mp3", "late.part"):
        written(f"train/b/{name}", video)(tmp_path)
    found = read_folder(tmp_path, fps=5.0)
    assert [clip.path.name for clip in found.clips] == ["1.mp4", "video", "video.xyz"]
    assert {clip.fps for clip in found.clips} == {None}
    passed, outside = (line for line in found.warnings if "passed over" in line)
    for part in ("1 .txt", "1 .lmn", "1 .mp3", "1 .part", "a/notes.txt", "b/late.part"):
        assert part in passed
    assert "in no class's folder: 1 (" in outside and "b.mp4" in outside


def test_files_of_a_suffix_without_videos_are_not_all_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MOST_IN_VAIN", 3)
    opened = []
    holds_video = media.holds_video
    monkeypatch.setattr(
        media, "holds_video", lambda e: opened.append(e.name) or holds_video(e)
    )
    files(tmp_path, "train/a/1.mp4", *(f"train/a/{n}.lab" for n in range(9)))
    (passed,) = (x for x in read_folder(tmp_path).warnings if "passed over" in x)
    assert "9 .lab" in passed and len(opened) == 4


def test_a_link_that_leads_back_is_named(tmp_path):
    files(tmp_path, "train/a/1.mp4", "train/b/1.mp4")
    link = tmp_path / "train/b/all"
    link.symlink_to(tmp_path / "train")
    with pytest.raises(AnnotationError, match="b/all: is a link to a folder .* remove"):
        read_folder(tmp_path)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(AnnotationError, match="b/all: cannot be followed .*; remove"):
        read_folder(tmp_path)
    # Another link is not one.
    link.unlink()
    link.symlink_to(tmp_path / "train/a")
    assert len(read_folder(tmp_path).clips) == 3


@pytest.mark.parametrize(
    ("classes", "mirrors"),
    [
        (("swipe left", "swipe right", "wave"), (1, 0, 2)),
        (("swipeLeft", "swipe-Right"), (1, 0)),
        (("MontéeLeftUp", "montée right_up"), (1, 0)),
        (("turn clockwise", "turn counter-clockwise", "turn"), (1, 0, 2)),
        (("turn CW", "turn anticlockwise"), (1, 0)),
        (("left hand, right turn", "right hand, left turn"), (1, 0)),
        (("swipeleft", "swiperight", "bright", "upright"), (1, 0, 2, 3)),
        (("kick L", "kick R"), (1, 0)),
        (("nach links", "nach rechts", "往左走", "往右走"), (1, 0, 3, 2)),
        # A letter among others; a word that is a side only beside its opposite.
        (("letter L", "letter M", "letter R"), (0, 1, 2)),
        (("vitamin L", "links of a chain"), (0, 1)),
        (tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), tuple(range(26))),
        (("letter L", "letter R"), (0, 1)),
        # Letters that are directions; letters that may be anything.
        (("L", "R", "U", "D"), (1, 0, 2, 3)),
        (("push L", "push_R", "pushU", "push D", "L1", "R1"), (1, 0, 2, 3, 5, 4)),
        (("turn l", "turn r", "turn u", "point t", "point b"), (1, 0, 2, 3, 4)),
        (("looking_L", "looking_R", "looking_up"), (1, 0, 2)),
        (("press L", "press R", "press A", "press X"), (-1, -1, 2, 3)),
        (("push L", "push U", "push D", "S", "M", "L"), (-1, 1, 2, 3, 4, 5)),
        (("kick L", "Kick_l", "kick R"), (-1, -1, -1)),
        # Without space between; with too much; wide.
        (("lefttoright", "righttoleft", "bright"), (1, 0, 2)),
        (("swipeleft", "upright", "brightness", "leftovers"), (-1, 1, 2, 3)),
        (("rotateclockwise", "rotateanticlockwise"), (1, 0)),
        (("rotateccw", "rotatecw", "fcwx"), (1, 0, 2)),
        (("rotate clock wise", "rotate counter clock wise"), (1, 0)),
        (("ＬＥＦＴ", "ＲＩＧＨＴ", "Ｕｐ"), (1, 0, 2)),
        (("swipe LR", "swipe RL", "go UL", "go UR"), (1, 0, 3, 2)),
        # Other scripts.
        (("좌회전", "우회전", "오른손으로", "왼손으로"), (1, 0, 3, 2)),
        (("우산", "왼쪽", "左折", "左右に振る"), (0, -1, -1, 3)),
        # Arrows, which may also say that one follows the other.
        (("←", "→", "↑", "↗", "↖"), (1, 0, 2, 4, 3)),
        (("swipe ->", "swipe <-", "⬅\ufe0f go", "➡\ufe0f go"), (1, 0, 3, 2)),
        (("left→right", "right→left", "open → close"), (1, 0, 2)),
        (("swipe →", "↻", "↺"), (-1, 2, 1)),
        # No class is the mirror image.
        (("turning left", "jumping"), (-1, 1)),
        (("from left to right",), (-1,)),
        (("turn left", "Turn_Left", "turn right"), (-1, -1, -1)),
    ],
)
def test_mirror_images_of_own_classes(classes, mirrors):
    assert mirrored.of_names(classes) == mirrors


def test_a_folder_is_mirrored_by_its_names_and_a_list(tmp_path):
    names = ("hook", "swipe left", "swipe right", "turning left", "uppercut")
    files(tmp_path, *(f"train/{name}/1.mp4" for name in names))
    assert read_folder(tmp_path).flip_labels == (0, 2, 1, -1, 4)
    listed = ["turning left=turning left", " hook = uppercut"]
    assert read_folder(tmp_path, mirror=listed).flip_labels == (4, 2, 1, 3, 0)
    # What was the mirror image of one that has another now has none.
    changed = ["swipe left=swipe left"]
    assert read_folder(tmp_path, mirror=changed).flip_labels == (0, 1, -1, -1, 4)
    written("t.csv", "file,label,split\n1,go left,train\n2,go right,train\n")(tmp_path)
    assert read_folder(tmp_path).flip_labels == (1, 0)


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["a"], "must be CLASS=CLASS, got 'a'"),
        (["a=c"], "got 'a=c'; no class is named 'c'. The classes are 'a', 'b=b'"),
        (["a=b=b", "a=a"], "'a' is in two pairs of mirror images: 'a=b=b' and 'a=a'"),
    ],
)
def test_pairs_that_are_none(pairs, says):
    assert mirrored.with_pairs(["a", "b=b"], None, ["a=b=b"]) == (1, 0)
    with pytest.raises(ValueError, match=says):
        mirrored.with_pairs(["a", "b=b"], None, pairs)


def test_shares_out_of_range(tmp_path):
    with pytest.raises(ValueError, match=r"test_share must be in \[0, 1\), got 1"):
        read_folder(tmp_path, test_share=1.0)
    with pytest.raises(ValueError, match="must leave some clips for training, got 0.5"):
        read_folder(tmp_path, validation_share=0.5, test_share=0.5)
