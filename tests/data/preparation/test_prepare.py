"""From the archives of each data set, in miniature and with real videos, to records."""

import contextlib
import csv
import dataclasses
import errno
import functools
import hashlib
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from filelock import FileLock

from tests.support.files import ROOT
from tests.support.miniatures import FRAMES, LISTED, make
from vidshift import cli
from vidshift.data.annotations import DATASETS
from vidshift.data.media.encoding import encode
from vidshift.data.parallel.workers import Failed
from vidshift.data.preparation import build
from vidshift.data.records import builder as records
from vidshift.data.records import storage
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.prepared import Prepared

SIDE = 32


def grey_video(frames: int = FRAMES, fps: float = 12.0, first: int = 0) -> bytes:
    """Frame i is of one grey, 10 (i + 1) + first."""
    levels = 10 * (np.arange(frames) + 1) + first
    pixels = np.broadcast_to(levels[:, None, None, None], (frames, SIDE, SIDE, 3))
    return encode(pixels.astype(np.uint8), fps=fps)


@pytest.fixture(scope="module")
def video() -> bytes:
    return grey_video()


def one_process(work, items, *, workers):
    """`workers.results`, without other processes."""
    del workers
    return ((item, work(item)) for item in items)


def run(name, source, out, *flags) -> int:
    return cli.run(["prepare", name, f"--source={source}", f"--out={out}", *flags])


def folder(out, name="folder", storage="fast") -> pathlib.Path:
    return out / name / storage / records.VERSION


def opened(out, split="train", options=None):
    return open_split("folder", split, data_dir=str(out), options=options)


def shards(path: pathlib.Path) -> dict[str, str]:
    """The bytes of all records' files, hashed."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.glob("*.array_record-*-of-?????")
    }


def own_videos(root, clips=7, damaged=()) -> pathlib.Path:
    for label in ("left", "到右 边"):
        (root / label).mkdir(parents=True)
        for clip in range(clips):
            data = grey_video(4 + clip, first=clip)
            name = f"clip {clip}.mp4"
            if name in damaged:
                data = data[: len(data) // 3]
            (root / label / name).write_bytes(data)
    return root


@pytest.mark.parametrize("name", LISTED)
def test_every_data_set(name, tmp_path, here, video, image, capsys):
    source, out = tmp_path / "source", tmp_path / "out"
    make(name, source, video, image)
    assert run(name, source, out) == 0
    said = capsys.readouterr().out
    annotations = DATASETS[name].read(source)
    for split in {s for clip in annotations.clips for s in clip.splits}:
        listed = {clip.id: clip for clip in annotations.clips if split in clip.splits}
        assert f"{name} {split}: {len(listed)} clips" in said
        found = open_split(name, split, data_dir=str(out))
        assert found.classes == annotations.classes
        assert found.flip_labels == annotations.flip_labels
        assert found.task == annotations.task
        read = [found.source[row] for row in range(len(found.source))]
        assert {record["id"]: record["label"] for record in read} == {
            clip.id: clip.label for clip in listed.values()
        }
        for record in read:
            clip = listed[record["id"]]
            frames = found.decode(record["video"], range(record["num_frames"]))
            assert frames.shape == (record["num_frames"], SIDE, SIDE, 3)
            if clip.start is None and clip.end is None:
                assert record["num_frames"] == FRAMES
            if clip.spans:
                np.testing.assert_allclose(record["spans"], clip.spans, rtol=1e-6)


def test_what_is_stored_is_a_tfds_data_set(tmp_path, here):
    import tensorflow_datasets as tfds

    run("folder", own_videos(tmp_path / "own"), tmp_path)
    builder = tfds.builder_from_directory(folder(tmp_path))
    assert set(builder.info.splits) == {"train", "validation", "test"}
    (first, *_) = builder.as_data_source("train")
    assert builder.info.features["label"].names == ["left", "到右 边"]
    assert first["num_frames"] == storage.count(
        next(
            c
            for c in DATASETS["folder"].read(tmp_path / "own").clips
            if c.id == first["id"].decode()
        )
    )


def test_damaged_clips_are_left_out_and_named(tmp_path, here, capsys):
    source = own_videos(tmp_path / "own", damaged=("clip 2.mp4",))
    (source / "left" / "empty.mp4").touch()
    (source / "left" / "text.avi").write_text("no video")
    assert run("folder", source, tmp_path) == 0
    out, _ = capsys.readouterr()
    assert "left out" in out and "left_out.csv" in out
    with (folder(tmp_path) / "left_out.csv").open(encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {
        "left/clip 2.mp4",
        "到右 边/clip 2.mp4",
        "left/empty.mp4",
        "left/text.avi",
    }
    assert rows["left/empty.mp4"]["reason"] == "left/empty.mp4: empty file"
    assert rows["left/empty.mp4"]["file"] == str(source / "left" / "empty.mp4")
    kept = [
        len(opened(tmp_path, split).source) for split in ("train", "validation", "test")
    ]
    assert sum(kept) == 12

    # Mended, they are taken up, and nothing else changes.
    whole = own_videos(tmp_path / "whole")
    for label in ("left", "到右 边"):
        data = (whole / label / "clip 2.mp4").read_bytes()
        (source / label / "clip 2.mp4").write_bytes(data)
    assert run("folder", source, tmp_path) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert run("folder", source, tmp_path, "--retry") == 0
    with (folder(tmp_path) / "left_out.csv").open() as file:
        assert {row["id"] for row in csv.DictReader(file)} == {
            "left/empty.mp4",
            "left/text.avi",
        }


def test_check_writes_nothing_and_says_what_is_wrong(tmp_path, here, capsys):
    source = own_videos(tmp_path / "own", damaged=("clip 3.mp4",))
    before = sorted(tmp_path.rglob("*"))
    assert cli.run(["prepare", "folder", f"--source={source}", "--check"]) == 1
    out, _ = capsys.readouterr()
    assert "cannot be decoded: left/clip 3.mp4: " in out
    assert sorted(tmp_path.rglob("*")) == before
    for label in ("left", "到右 边"):
        (source / label / "clip 3.mp4").unlink()
    assert cli.run(["prepare", "folder", f"--source={source}", "--check"]) == 0


def test_a_crash_is_named_by_its_clip(tmp_path, monkeypatch, capsys):
    def crashes(work, items, *, workers):
        for item in items:
            yield item, Failed("the decoder crashed")

    monkeypatch.setattr(build, "results", crashes)
    source = own_videos(tmp_path / "own")
    assert cli.run(["prepare", "folder", f"--source={source}", "--check"]) == 1
    said = capsys.readouterr().out
    assert "cannot be decoded: left/clip 0.mp4: the decoder crashed" in said
    assert run("folder", source, tmp_path) == 1
    assert "the first: left/clip 0.mp4: the decoder" in capsys.readouterr().err


def test_a_name_that_is_no_text_is_one_line(tmp_path, here, capsys):
    source = own_videos(tmp_path / "own")
    (source / "left" / os.fsdecode(b"\xff.mp4")).write_bytes(grey_video())
    assert run("folder", source, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a name is not in UTF-8: " in line and "udcff.mp4" in line


@pytest.mark.slow
def test_interrupted_after_any_clip_it_ends_with_the_same_bytes(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(build, "CLIPS_PER_SHARD", 3)
    source = own_videos(tmp_path / "own", damaged=("clip 1.mp4",))
    monkeypatch.setattr(build, "results", one_process)
    assert run("folder", source, tmp_path / "whole") == 0
    whole = shards(folder(tmp_path / "whole"))
    assert len(whole) >= 5
    for after in range(14):
        out, done = tmp_path / str(after), []
        monkeypatch.setattr(build, "results", functools.partial(stopped, after))
        assert run("folder", source, out) == 130
        assert "the same command goes on" in capsys.readouterr().err
        with pytest.raises(ValueError, match="begun, not finished"):
            opened(out)
        monkeypatch.setattr(build, "results", functools.partial(counted, done))
        assert run("folder", source, out) == 0
        assert shards(folder(out)) == whole
        # What was complete was not done again.
        assert len(done) >= 14 - after
        assert after < 3 or len(done) < 14


def stopped(after, work, items, *, workers):
    for place, result in enumerate(one_process(work, items, workers=workers)):
        if place == after:
            raise KeyboardInterrupt
        yield result


def counted(done, work, items, *, workers):
    for result in one_process(work, items, workers=workers):
        done.append(result)
        yield result


@pytest.mark.slow
def test_killed_at_random_it_ends_with_the_same_bytes(tmp_path, monkeypatch):
    source = own_videos(tmp_path / "own", clips=20)
    program = (
        "from vidshift import cli; "
        "from vidshift.data.preparation import build; build.CLIPS_PER_SHARD = 4; "
        "cli.main()"
    )

    def start(out):
        return subprocess.Popen(
            [sys.executable, "-c", program]
            + [
                "prepare",
                "folder",
                f"--source={source}",
                f"--out={out}",
                "--workers=2",
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    with monkeypatch.context() as patch:
        patch.setattr(build, "CLIPS_PER_SHARD", 4)
        patch.setattr(build, "results", one_process)
        assert run("folder", source, tmp_path / "whole") == 0
    whole = shards(folder(tmp_path / "whole"))
    rng, out, kills = random.Random(0), tmp_path / "out", 0
    while not folder(out).is_dir():
        process = start(out)
        begun = out / "folder" / "fast" / "1.0.0.incomplete"
        enough = len(list(begun.glob("*.json"))) + rng.randint(1, 3)
        while process.poll() is None and kills < 2:
            if len(list(begun.glob("*.json"))) >= enough:
                time.sleep(rng.random() / 20)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        assert process.wait(120) in (0, -signal.SIGKILL), process.stderr.read()
    assert kills
    assert shards(folder(out)) == whole


def test_a_full_disk_leaves_what_was_written(tmp_path, monkeypatch, here, capsys):
    """A limit of a file's size stands for it: the writer meets an error of the system."""
    monkeypatch.setattr(build, "CLIPS_PER_SHARD", 4)
    source = own_videos(tmp_path / "own")
    big = encode(
        np.random.default_rng(0).integers(0, 255, (24, 256, 256, 3), np.uint8), crf=1
    )
    (source / "到右 边" / "zz.mp4").write_bytes(big)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        assert run("folder", source, tmp_path, "--storage=copy") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written" in capsys.readouterr().err
    begun = folder(tmp_path, storage="copy").with_name("1.0.0.incomplete")
    assert not list(begun.glob("*.partial"))
    kept = shards(begun)
    assert kept
    assert all(records.read_shard(begun / name) for name in kept)
    assert run("folder", source, tmp_path, "--storage=copy") == 0
    assert kept.items() <= shards(folder(tmp_path, storage="copy")).items()


def test_two_at_once(tmp_path, here, capsys):
    source = own_videos(tmp_path / "own")
    final = folder(tmp_path)
    final.parent.mkdir(parents=True)
    with FileLock(final.with_name("1.0.0.lock")):
        assert run("folder", source, tmp_path) == 2
    assert "another process is preparing" in capsys.readouterr().err
    assert run("folder", source, tmp_path) == 0


def test_other_annotations_are_not_mixed(tmp_path, here, capsys):
    source = own_videos(tmp_path / "own")
    assert run("folder", source, tmp_path) == 0
    (source / "left" / "new.mp4").write_bytes(grey_video())
    assert run("folder", source, tmp_path) == 2
    assert "made of other annotations" in capsys.readouterr().err
    moved = tmp_path / "elsewhere"
    (source / "left" / "new.mp4").unlink()
    # As many clips, one of them another.
    listed = DATASETS["folder"].read(source)
    first, *rest = listed.clips
    other = dataclasses.replace(
        listed, clips=(dataclasses.replace(first, id="other"), *rest)
    )
    with pytest.raises(ValueError, match="annotations_sha256 differs"):
        build.prepare(other, "folder", out=tmp_path)
    source.rename(moved)
    assert run("folder", moved, tmp_path) == 0


def sides(root, names=("swipe left", "swipe right", "turning left")) -> pathlib.Path:
    for name in names:
        for split in ("train", "test"):
            (root / split / name).mkdir(parents=True)
            (root / split / name / "1.mp4").write_bytes(grey_video(4))
    return root


def test_mirror_images_of_own_classes(tmp_path, here, capsys):
    source = sides(tmp_path / "own")
    assert run("folder", source, tmp_path) == 0
    out, err = capsys.readouterr()
    assert "a mirror image swaps 'swipe left' <-> 'swipe right'\n" in out
    assert "the mirror image of 'turning left' is none of the classes" in err
    assert opened(tmp_path).flip_labels == (1, 0, -1)
    pair = "turning left=turning left"
    given = open_split("folder", "train", data_dir=str(tmp_path), mirror=[pair])
    assert given.flip_labels == (1, 0, 2)
    # Given again with a list, only the mirror images change.
    before = shards(folder(tmp_path))
    assert run("folder", source, tmp_path, f"--mirror={pair}") == 0
    assert shards(folder(tmp_path)) == before
    assert opened(tmp_path).flip_labels == (1, 0, 2)


def test_a_whole_preparation_needs_no_lock(tmp_path, here, monkeypatch, capsys):
    """A disk may be read-only."""
    source = sides(tmp_path / "own")
    assert run("folder", source, tmp_path) == 0

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(build, "FileLock", refuse)
    assert run("folder", source, tmp_path) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_metadata_that_are_damaged_are_named_and_made_anew(name, tmp_path, here):
    source = sides(tmp_path / "own")
    assert run("folder", source, tmp_path) == 0
    path = folder(tmp_path) / name
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff", b"[]", b'{"a": 1}', None):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=f"{name} .*: the command that prepared it"
        ):
            opened(tmp_path)
    assert run("folder", source, tmp_path) == 0
    assert path.read_bytes() == whole
    assert len(opened(tmp_path).source) == 3


def test_a_damaged_list_of_a_shard_is_made_anew(tmp_path, here):
    source = sides(tmp_path / "own")
    assert run("folder", source, tmp_path, "--storage=frames") == 0
    made = folder(tmp_path, storage="frames")
    whole = shards(made)
    path = made / "folder-train.array_record-00000-of-00001.json"
    for damaged in (path.read_bytes()[:-20], b"[]"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="train.* is not whole: .* with --retry"):
            opened(tmp_path)
    assert run("folder", source, tmp_path, "--storage=frames", "--retry") == 0
    assert shards(made) == whole and records.read_shard(path.with_suffix(""))


def test_a_description_that_is_damaged_is_named(tmp_path, here, capsys):
    source = sides(tmp_path / "own")
    assert run("folder", source, tmp_path) == 0
    path = folder(tmp_path) / records.DESCRIPTION
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"[]", b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"vidshift\.json is damaged .*: remove .*1\.0"
        ):
            opened(tmp_path)
        assert run("folder", source, tmp_path) == 2
        assert "vidshift.json is damaged" in capsys.readouterr().err.splitlines()[-1]


def test_other_classes_are_named(tmp_path, here, capsys):
    assert run("folder", sides(tmp_path / "own"), tmp_path) == 0
    capsys.readouterr()
    other = sides(tmp_path / "other", ("swipe left", "swipe right", "wave"))
    assert run("folder", other, tmp_path) == 2
    assert "--source has 'wave', which it has not" in capsys.readouterr().err


def test_a_split_without_a_clip_says_what_to_change(tmp_path, here, capsys):
    assert run("folder", sides(tmp_path / "own"), tmp_path) == 0
    assert "no clip is for the split validation, of 6" in capsys.readouterr().err
    says = (
        "no clip in the split 'validation', but in test and train; .*validation_split="
    )
    with pytest.raises(ValueError, match=says):
        opened(tmp_path, "validation")


def test_nothing_to_decode(tmp_path, here, capsys):
    for label in "ab":
        (tmp_path / "own" / label).mkdir(parents=True)
        for clip in range(9):
            (tmp_path / "own" / label / f"{clip}.mp4").touch()
    assert run("folder", tmp_path / "own", tmp_path) == 1
    assert "no clip can be decoded; the first: a/" in capsys.readouterr().err
    assert not folder(tmp_path).is_dir()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["folder", "--source=own", "--out=gs://bucket/x"], "gcsfuse"),
        (["folder", "--source=own"], "--out=DIR is needed"),
        (["folder", "--source=nowhere", "--out=x"], "nowhere is no folder"),
        (["ucf101", "--source=own", "--out=x", "--csv=a.csv"], "for NAME=folder"),
        (
            ["folder", "--source=own", "--out=x", "--modality=flow", "--storage=copy"],
            "flow is computed",
        ),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, monkeypatch, capsys, flags, message):
    own_videos(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build.flow, "check_installed", lambda: None)
    assert cli.run(["prepare", *flags]) == 2
    *warnings, line = capsys.readouterr().err.splitlines()
    assert message in line and all("warning: " in each for each in warnings)


def test_parts_of_files(tmp_path, here, capsys):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.mp4").write_bytes(grey_video(12, fps=12))
    rows = ["file,label,start,end,split"]
    rows += ["a.mp4,x,0,0.5,train", "a.mp4,y,0.5,,train"]
    (tmp_path / "own" / "clips.csv").write_text("\n".join(rows))
    assert run("folder", tmp_path / "own", tmp_path, "--storage=copy") == 2
    assert "is a part of" in capsys.readouterr().err
    assert run("folder", tmp_path / "own", tmp_path) == 0
    split = opened(tmp_path)
    for row, greys in enumerate((range(10, 70, 10), range(70, 130, 10))):
        frames = split.decode(split.source[row]["video"], range(6))
        assert frames.mean((1, 2, 3)).round(-1).tolist() == list(greys)
        assert split.source[row]["num_frames"] == 6


class TestOpening:
    def test_what_is_not_there(self, tmp_path, here):
        with pytest.raises(ValueError, match="ucf101 is not prepared in .*--source"):
            open_split("ucf101", "train_1", data_dir=str(tmp_path))
        run("folder", own_videos(tmp_path / "own"), tmp_path)
        with pytest.raises(ValueError, match="--storage=frames"):
            opened(tmp_path, options=Prepared("frames"))
        with pytest.raises(ValueError, match="--modality=flow"):
            opened(tmp_path, options=Prepared(modality="flow"))

    def test_several_storages_are_chosen_from(self, tmp_path, here):
        source = own_videos(tmp_path / "own")
        for name in storage.STORAGES:
            assert run("folder", source, tmp_path, f"--storage={name}") == 0
        with pytest.raises(ValueError, match="options.storage"):
            opened(tmp_path)
        for name in storage.STORAGES:
            split = opened(tmp_path, options=Prepared(name))
            record = split.source[0]
            frames = split.decode(record["video"], range(record["num_frames"]))
            greys = frames.mean((1, 2, 3))
            assert (np.diff(greys) >= 7).all() and (np.diff(greys) <= 13).all()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (Prepared(modality="depth"), "modality must be one of rgb, flow, rgb_diff"),
            (Prepared(stack=5), "stack is for flow and rgb_diff"),
            (Prepared(modality="flow", stack=0), "stack must be >= 1"),
        ],
    )
    def test_wrong_options(self, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            opened(tmp_path, options=options)
