"""Packages whose names are imported when they are first used.

A command then says within a moment that an argument is wrong, and Ctrl-C during the
imports of jax, TFDS and PyAV finds a command that can answer.
"""

import importlib
import sys
from collections.abc import Callable, Mapping


def attributes(
    package: str, modules: Mapping[str, str | None]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Returns a package's `__getattr__` and `__dir__` (PEP 562).

    Args:
      package: its name.
      modules: public name -> the module that defines it, None for a submodule.
    """

    def get(name: str):
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if modules[name] is None:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(modules)
