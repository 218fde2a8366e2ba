"""Packages whose names are imported when they are first used."""

import re

import pytest

import vidshift
from tests.support.files import ROOT
from vidshift import data, export, kernels, stream


@pytest.mark.parametrize("package", [vidshift, data, export, stream])
def test_every_public_name_is_found_by_itself(package):
    assert package.__dir__() == sorted(package.__all__)
    for name in package.__all__:
        # Not `getattr` alone, which finds a submodule that something else imported.
        assert package.__getattr__(name) is getattr(package, name)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="'vidshift' has no attribute 'creat'"):
        vidshift.creat()


@pytest.mark.parametrize("package", [vidshift, export, kernels, stream])
def test_every_public_name_is_in_the_program_that_pyright_checks(package):
    text = (ROOT / "tests" / "typed_use.py").read_text()
    used = set(re.findall(r"\w+", text))
    assert set(package.__all__) <= used
