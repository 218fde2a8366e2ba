"""Optional dependencies, as a message names them."""


def install(extra: str) -> str:
    """Returns the command that installs an extra of pyproject.toml."""
    return f'pip install "vidshift[{extra}]" (in a clone: pip install -e ".[{extra}]")'
