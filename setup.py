"""The wheel's packages. All else about the project stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    # The configs stand beside the package in a clone, and inside it in the wheel.
    packages=[*find_packages(include=["vidshift*"]), "vidshift.configs"],
    package_dir={"vidshift.configs": "configs"},
)
