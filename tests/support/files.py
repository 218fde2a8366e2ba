"""Folders that tests read: the clone, and its files beside the tests."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
TORCH_FILES = ROOT / "tests" / "torch_files"
VIDEOS = ROOT / "tests" / "videos"
