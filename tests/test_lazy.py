"""Packages whose names are imported when they are first used."""

import pytest

import vidshift
from vidshift import data, export, stream


@pytest.mark.parametrize("package", [vidshift, data, export, stream])
def test_every_public_name_is_found_by_itself(package):
    assert package.__dir__() == sorted(package.__all__)
    for name in package.__all__:
        # Not `getattr` alone, which finds a submodule that something else imported.
        assert package.__getattr__(name) is getattr(package, name)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="'vidshift' has no attribute 'creat'"):
        vidshift.creat()
