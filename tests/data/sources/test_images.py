"""Images as clips of one frame: decoding, folders, TFDS data sets, crops, a training."""

import io
import json
import pathlib
import shutil
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image, ImageOps

from tests.support.commands import finish, start_program
from tests.support.tiny_images.tiny_images import TinyImages
from vidshift.config import Config, DataConfig, check
from vidshift.data import open_split
from vidshift.data.loading.loader import eval_batches, train_batches
from vidshift.data.media import images
from vidshift.data.media.video import VideoError
from vidshift.data.records.record import Record
from vidshift.data.sources.image_folder import ImageFolder
from vidshift.data.sources.motion_clips import OrderedMotion
from vidshift.data.sources.tfds_images import TfdsImages
from vidshift.data.views.crop import crop_resize, random_area_box
from vidshift.data.views.view import View, train_clip
from vidshift.training.log import read_metrics
from vidshift.training.state import clips_fingerprint


def encoded(image: Image.Image, kind="PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(height=6, width=8, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


# ------------------------------------------------------------------- decoding
def test_pixels_as_often_as_they_are_asked_for():
    pixels = picture()
    found = images.decode(encoded(Image.fromarray(pixels)), [0, 0])
    assert found.shape == (2, 6, 8, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(found, [pixels, pixels])
    with pytest.raises(ValueError, match=r"indices must be 0, .* got \[1\]"):
        images.decode(encoded(Image.fromarray(pixels)), [1])


def test_kinds_of_pixels():
    pixels = picture()
    grey = pixels[..., 0]
    both = {
        "L": (Image.fromarray(grey), np.stack([grey] * 3, -1)),
        "RGBA": (Image.fromarray(np.dstack([pixels, grey])), pixels),
        # 16 bits: 257 times as much is the same grey.
        "I;16": (
            Image.fromarray(grey.astype(np.uint16) * 257),
            np.stack([grey] * 3, -1),
        ),
        "P": (Image.fromarray(grey).convert("P"), np.stack([grey] * 3, -1)),
        "1": (Image.fromarray(grey > 128), np.stack([(grey > 128) * 255] * 3, -1)),
    }
    for mode, (image, expected) in both.items():
        assert image.mode == mode
        np.testing.assert_array_equal(images.decode(encoded(image), [0])[0], expected)
    cmyk = encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG")
    assert images.decode(cmyk, [0]).shape == (1, 6, 8, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_pillow(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    file = encoded(Image.fromarray(picture()), exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    np.testing.assert_array_equal(images.decode(file, [0])[0], expected)


@pytest.mark.parametrize("exif", [b"no exif", b"Exif\0\0MM\0", b"Exif\0\0II*\0"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_damaged_exif_damages_no_pixels(kind, exif):
    file = encoded(Image.fromarray(picture()), kind, exif=exif, lossless=True)
    np.testing.assert_array_equal(images.decode(file, [0])[0], picture())


def test_of_several_pictures_the_first():
    first, second = (Image.fromarray(np.full((6, 8, 3), v, np.uint8)) for v in (0, 255))
    file = encoded(first, "GIF", save_all=True, append_images=[second])
    assert images.decode(file, [0, 0]).shape == (2, 6, 8, 3)
    assert not images.decode(file, [0]).any()


def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path, monkeypatch):
    whole = encoded(Image.fromarray(picture(40, 40)), "JPEG")
    for file in (b"", b"text", whole[: len(whole) // 2]):
        with pytest.raises(VideoError, match="cat.jpg: no readable image") as error:
            images.decode(file, [0], name="cat.jpg")
        assert "\n" not in str(error.value)
    with pytest.raises(VideoError, match="none.png: no readable image"):
        images.decode(tmp_path / "none.png", [0])
    # Pillow has a reader that starts a program; ours knows no such format.
    postscript = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF"
    )
    with pytest.raises(VideoError, match="none of JPEG, PNG"):
        images.decode(postscript, [0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(VideoError, match="DecompressionBomb"):
        images.decode(whole, [0])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_pillow_only_warns_of_is_too_large(monkeypatch):
    file = encoded(Image.fromarray(picture(12, 10)))
    images.decode(file, [0])
    filters = list(warnings.filters)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 119)
    with pytest.raises(VideoError, match="10 x 12 pixels, more than 119"):
        images.decode(file, [0])
    # Those of the whole process, which threads share.
    assert warnings.filters == filters
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    images.decode(file, [0])


# ------------------------------------------------------------------------ crop
def test_a_random_area_is_what_it_says():
    rng = np.random.default_rng(0)
    boxes = np.array(
        [random_area_box(200, 300, rng=rng, area=(0.1, 0.5)) for _ in range(500)]
    )
    left, top, right, bottom = boxes.T
    assert (left >= 0).all() and (top >= 0).all()
    assert (right <= 300).all() and (bottom <= 200).all()
    share = (right - left) * (bottom - top) / (200 * 300)
    assert 0.095 < share.min() < 0.13 and 0.45 < share.max() < 0.51
    ratio = (right - left) / (bottom - top)
    assert 0.73 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.36
    assert abs(np.log(ratio).mean()) < 0.03
    assert len(set(left.tolist())) > 50 and len(set(top.tolist())) > 50


def test_a_frame_in_which_no_area_fits_is_cut_in_the_middle():
    rng = np.random.default_rng(0)
    assert random_area_box(10, 100, rng=rng, area=(1.0, 1.0)) == (43, 0, 56, 10)
    assert random_area_box(100, 10, rng=rng, area=(1.0, 1.0)) == (0, 43, 10, 56)
    # One that just fits is the whole frame; an aspect is width over height.
    square = {"area": (1.0, 1.0), "aspect": (1.0, 1.0)}
    assert random_area_box(10, 10, rng=rng, **square) == (0, 0, 10, 10)
    wide = {"area": (0.5, 0.5), "aspect": (2.0, 2.0)}
    left, top, right, bottom = random_area_box(100, 100, rng=rng, **wide)
    assert (right - left, bottom - top) == (100, 50)
    with pytest.raises(ValueError, match="area must be two shares"):
        random_area_box(10, 10, rng=rng, area=(0.0, 1.0))


def test_a_training_clip_is_of_the_area_drawn():
    record = Record(
        video=encoded(Image.fromarray(picture(20, 24))),
        label=0,
        id="x",
        num_frames=1,
        fps=0.0,
    )
    view = View(2, 16, 12, area=(0.2, 0.9))
    clip, _, fingerprint, _ = train_clip(
        record, view, np.random.default_rng(3), may_flip=False, decode=images.decode
    )
    rng = np.random.default_rng(3)  # the choice of a frame draws nothing: there is one
    box = random_area_box(20, 24, rng=rng, area=(0.2, 0.9))
    expected = crop_resize(picture(20, 24)[None], box, 12)
    np.testing.assert_array_equal(clip, np.concatenate([expected] * 2))
    other = View(2, 16, 12, area=(0.2, 0.4))
    _, _, changed, _ = train_clip(
        record, other, np.random.default_rng(3), may_flip=False, decode=images.decode
    )
    assert (fingerprint != changed).any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"area": (0.5,)}, "config.data.area must be two shares .* got .0.5,."),
        ({"area": (0.1, 1.0), "scales": (1.0,)}, "config.data.area and data.scales"),
    ],
)
def test_areas_that_are_none(data, message):
    with pytest.raises(ValueError, match=message):
        check(Config(data=DataConfig(**data)))


# --------------------------------------------------------------------- folders
def fill(root, classes=("cat", "Hund, groß"), each=3, folders=("train", "val")):
    for folder in folders:
        for label, name in enumerate(classes):
            (root / folder / name).mkdir(parents=True)
            for i in range(each):
                image = Image.fromarray(picture(20, 24, seed=10 * label + i))
                image.save(root / folder / name / f"{i} é.{'PNG' if i else 'jpeg'}")
    return root


def opened(root, split="train", **options):
    options = ImageFolder(**options)
    return open_split("image_folder", split, data_dir=str(root), options=options)


def test_a_folder_of_images(tmp_path, caplog):
    fill(tmp_path)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    with caplog.at_level("WARNING", "vidshift"):
        split = opened(tmp_path)
    (said,) = caplog.messages
    assert "no images by their suffix: 1 (" in said and "notes.txt" in said
    assert split.classes == ("Hund, groß", "cat") and len(split.source) == 6
    assert split.flip_labels == (0, 1) and split.reversed_labels is None
    assert split.decode is images.decode
    record = split.source[5]
    assert (record["id"], record["label"]) == ("train/cat/2 é.PNG", 1)
    pixels = split.decode(record["video"], [0], name=record["id"])
    np.testing.assert_array_equal(pixels[0], picture(20, 24, seed=2))
    # Without a folder of its own the test is of the validation images.
    test = opened(tmp_path, "test")
    assert test.source[0]["id"].startswith("val/")


def test_what_is_hidden_is_no_class_and_no_image(tmp_path):
    fill(tmp_path)
    whole = opened(tmp_path)
    cat = tmp_path / "train" / "cat"
    for folder in (tmp_path / "train", tmp_path / "val", cat):
        shutil.copytree(cat, folder / ".ipynb_checkpoints")
    (cat / "._0 é.jpeg").write_bytes(b"macOS's")
    again = opened(tmp_path)
    assert again.classes == whole.classes and again.source.files == whole.source.files
    opened(tmp_path, "validation")


def test_images_lie_at_any_depth_and_behind_links(tmp_path):
    fill(tmp_path)
    train = tmp_path / "train"
    shutil.move(train / "cat", tmp_path / "elsewhere")
    (train / "cat" / "more").mkdir(parents=True)
    (train / "cat" / "more" / "linked").symlink_to(tmp_path / "elsewhere")
    split = opened(tmp_path)
    record = split.source[4]
    assert record["id"] == "train/cat/more/linked/1 é.PNG"
    pixels = split.decode(record["video"], [0])
    np.testing.assert_array_equal(pixels[0], picture(20, 24, seed=1))


def test_names_of_folders_of_images(tmp_path):
    """Left and right swap in a mirror image; a name is one however it is spelt."""
    names = {
        "train": ("turn left", "turn right", "caf\u00e9"),
        "val": ("turn left ",),
        "test": ("cafe\u0301", "turn right"),
    }
    for split, classes in names.items():
        for name in classes:
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / split / name / "1.png")

    train = opened(tmp_path)
    assert train.classes == ("caf\u00e9", "turn left", "turn right")
    assert train.flip_labels == (0, 2, 1)
    labels = [opened(tmp_path, "test").source[row]["label"] for row in range(2)]
    assert labels == [0, 2]
    assert opened(tmp_path, "validation").source[0]["label"] == 1
    link = tmp_path / "train" / "turn left" / "all"
    link.symlink_to(tmp_path / "train")
    with pytest.raises(
        ValueError, match="turn left/all: is a link to a folder .* remove"
    ):
        opened(tmp_path)


def test_one_split_in_two_folders(tmp_path):
    fill(tmp_path, folders=("train", "val", "validation"))
    with pytest.raises(ValueError, match="validation and .*val are one split: put .*"):
        opened(tmp_path, "test")
    split = opened(tmp_path, "validation", validation="val")
    assert split.source[0]["id"].startswith("val/")


def test_folders_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="no folder .*/train for the train images"):
        opened(tmp_path)
    root = fill(tmp_path / "full")
    with pytest.raises(ValueError, match="no folder .*/dev for the validation im"):
        opened(root, "validation", validation="dev")
    (root / "val" / "horse").mkdir()
    with pytest.raises(ValueError, match="val has classes that .* has not: .horse"):
        opened(root, "validation")
    for file in (root / "train" / "cat").iterdir():
        file.rename(file.with_suffix(".txt"))
    with pytest.raises(
        ValueError, match="train has classes without an image .*: .cat.$"
    ):
        opened(root)
    empty = fill(tmp_path / "empty", each=0)
    with pytest.raises(ValueError, match="train holds no image .* 2 class folders"):
        opened(empty)
    (tmp_path / "flat" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match="train has no folders: a class of images"):
        opened(tmp_path / "flat")
    with pytest.raises(ValueError, match="image_folder takes options of the type Im"):
        open_split("image_folder", "train", data_dir=str(root), options=OrderedMotion())
    with pytest.raises(
        ValueError, match="no option named 'test_'; did you mean 'test'"
    ):
        open_split("image_folder", "train", data_dir=str(root), options={"test_": "a"})


def test_batches_of_images_replace_what_is_damaged(tmp_path):
    fill(tmp_path)
    (tmp_path / "train" / "cat" / "1 é.PNG").write_bytes(b"no image")
    split = opened(tmp_path)
    (tmp_path / "train" / "cat" / "2 é.PNG").unlink()  # gone after the listing
    view = View(1, 16, 12, area=(0.2, 1.0))
    given = {"batch_size": 6, "seed": 0, "workers": 0, "max_failed_share": 1.0}
    with train_batches(split, view, **given) as batches:
        rows = next(batches)
        assert rows["video"].shape == (6, 1, 12, 12, 3)
        failed = dict(batches.failures)
    assert failed.keys() == {"train/cat/1 é.PNG", "train/cat/2 é.PNG"}
    assert "none of JPEG" in failed["train/cat/1 é.PNG"]
    assert "FileNotFoundError" in failed["train/cat/2 é.PNG"]
    with eval_batches(split, View(1, 16, 12), batch_size=6, workers=0) as batches:
        rows = next(batches)
        assert rows["video"].shape == (6, 1, 1, 12, 12, 3)
        assert sorted(rows["index"].tolist()) == [-1, -1, 0, 1, 2, 3]


# ------------------------------------------------------------------------ TFDS
@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("tfds"))
    TinyImages(data_dir=root).download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            try_download_gcs=False, compute_stats="skip"
        ),
        file_format="array_record",
    )
    return root


def test_a_tfds_data_set_without_its_code(prepared):
    options = TfdsImages(name="tiny_images", train="train[:4]")
    split = open_split("tfds_images", "train", data_dir=prepared, options=options)
    assert split.classes == ("lit left", "lit right") and len(split.source) == 4
    assert split.flip_labels == (1, 0)
    record = split.source[0]
    assert record["id"].endswith(".png") and record["video"].startswith(b"\x89PNG")
    number = int(record["id"].removesuffix(".png"))
    assert record["label"] == number % 2
    assert split.decode(record["video"], [0]).mean() == 30 * number
    version = TfdsImages(name="tiny_images:1.0.0")
    test = open_split("tfds_images", "test", data_dir=prepared, options=version)
    assert len(test.source) == 2


def test_a_damaged_tfds_data_set_is_named(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    (file,) = tmp_path.rglob("dataset_info.json")
    file.write_bytes(file.read_bytes()[:50])
    says = (
        r"dataset_info\.json is damaged .*: remove .*1\.0\.0; `tfds build tiny_images"
    )
    with pytest.raises(ValueError, match=says):
        open_tiny(tmp_path / "copy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"name": "imagenet2012"},
            "no data set prepared in .*`tfds build imagenet2012",
        ),
        ({"name": "tiny_images:2.0.0"}, "no data set prepared in .*tiny_images/2.0.0"),
        ({"name": "tiny_images", "train": "dev"}, "dev"),
    ],
)
def test_tfds_data_sets_that_are_none(prepared, options, message):
    options = TfdsImages(**options)
    with pytest.raises(ValueError, match=message):
        open_split("tfds_images", "train", data_dir=prepared, options=options)


def changed(prepared, folder, name, change):
    """Opens a copy of the data set, one of whose JSON files is changed."""
    path = copied(prepared, folder) / f"{name}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return open_tiny(folder)


def test_other_features(prepared, tmp_path):
    def change(content):
        fields = content["featuresDict"]["features"]
        fields["label"] = fields["file_name"]

    says = "needs features `image` .* has: file_name, im"
    with pytest.raises(ValueError, match=says):
        changed(prepared, tmp_path, "features", change)


@pytest.mark.parametrize("beside", [False, True])
def test_other_files(prepared, tmp_path, beside):
    info = {"fileFormat": "tfrecord"}
    if beside:
        info["alternativeFileFormats"] = ["array_record"]
        split = changed(prepared, tmp_path, "dataset_info", lambda it: it.update(info))
        assert len(split.source) == 6
        return
    with pytest.raises(ValueError, match="is of tfrecord files; `tfds build tiny_im"):
        changed(prepared, tmp_path, "dataset_info", lambda it: it.update(info))


def test_images_without_a_name_are_numbered(prepared, tmp_path):
    def change(content):
        del content["featuresDict"]["features"]["file_name"]

    split = changed(prepared, tmp_path, "features", change)
    assert split.source[3]["id"] == "tiny_images/train/3"


def test_the_newest_version_is_opened(prepared, tmp_path):
    old = copied(prepared, tmp_path)
    for version in ("0.9.0", "10.0.0", "9.0.0", "11.0.0.incomplete"):
        new = shutil.copytree(old, old.with_name(version))
        info = new / "dataset_info.json"
        info.write_text(info.read_text().replace('"1.0.0"', f'"{version}"'))
    newest = open_tiny(tmp_path).source.records.source.dataset_info
    assert str(newest.version) == "10.0.0"


def copied(prepared, folder) -> pathlib.Path:
    name = "tiny_images"
    return shutil.copytree(pathlib.Path(prepared) / name, folder / name) / "1.0.0"


def open_tiny(folder):
    options = TfdsImages(name="tiny_images")
    return open_split("tfds_images", "train", data_dir=str(folder), options=options)


# ------------------------------------------------------------------- a training
@pytest.mark.slow
def test_a_network_of_images_trains(tmp_path):
    fill(tmp_path / "images", each=8)
    fields = {
        "model.backbone": "rubiksnet_micro",
        "model.temporal": "tsn",
        "model.dtype": "float32",
        "data.name": "image_folder",
        "data.dir": tmp_path / "images",
        "data.resize": 16,
        "data.crop": 16,
        "optim.warmup_epochs": 0,
        "batch_size": 8,
        "eval_batch_size": 8,
        "log_steps": 1,
        "steps": 2,
    }
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    images_run = tmp_path / "image_run"
    config = "--config=configs/imagenet_rubiksnet.py"
    out, _ = finish(
        start_program("train.py", config, f"--workdir={images_run}", *flags)
    )
    assert "2 classes; 16 clips" in out
    first, *_, last = read_metrics(images_run)
    assert last["kind"] == "end"
    # The crops are those of the config's area.
    split = opened(tmp_path / "images")
    view = View(1, 16, 16, area=(0.08, 1.0))
    with train_batches(split, view, batch_size=8, seed=0, workers=0) as batches:
        shown = clips_fingerprint(jnp.asarray(next(batches)["fingerprint"]))
    assert first["clips"] == "{:08x}{:08x}".format(*shown.tolist())
