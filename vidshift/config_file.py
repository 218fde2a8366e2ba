"""Config of a command line: a file's `get_config()`, and fields set by its arguments."""

import dataclasses
import difflib
import os
import re
import sys
import traceback
import typing

from absl import flags
from ml_collections import config_flags

from vidshift import differences
from vidshift.command_line import config_files
from vidshift.command_line.errors import EXPECTED
from vidshift.command_line.progress import to_stderr
from vidshift.config import Config

RECIPE = "--config.recipe="


def read(name: str, fields: list[str] | tuple[str, ...] = ()) -> Config:
    """Returns the config of that name or file, with some fields set.

    Args:
      name: of a config of vidshift's, or the path of a file with `get_config()`.
      fields: `--config.FIELD=VALUE`; None is a value too. A recipe changes those fields
        alone that are not among them.

    Raises:
      ValueError: no such config, a fault in the file (with its line), no such field, or a
        value that a field cannot have.
    """
    file = str(config_files.find(name))
    recipes = [field for field in fields if field.startswith(RECIPE)]
    fields = [field for field in fields if field not in recipes]
    arguments = ["vidshift", f"--config={file}", *fields]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", None, flag_values=values, sys_argv=arguments
    )
    try:
        rest = parse(arguments, values)
        config = values.config
    except Exception as error:
        raise ValueError(_reason(file, error)) from error
    if rest[1:]:
        raise ValueError(f"unexpected argument {rest[1]!r}")
    if not isinstance(config, Config):
        raise ValueError(  # noqa: TRY004
            f"--config={file}: get_config() must return a vidshift.config."
            f"Config, got a {type(config).__name__}"
        )
    if recipes:
        given = {field.partition("=")[0].partition("config.")[2] for field in fields}
        recipe = recipes[-1].removeprefix(RECIPE)
        if line := differences.choose(config, recipe, given):
            to_stderr(line)
    return config


def _reason(file: str, error: Exception) -> str:
    """Says in a line why a config could not be read; raises what is no user's fault."""
    if reason := _fault_of_file(file, error):
        return f"--config={file}: {reason}"
    # From ml_collections: a field that the config does not have.
    if isinstance(error, KeyError):
        return _unknown_field(str(error.args[0]))
    if isinstance(error, flags.Error | OSError):
        return _unknown_field(str(error).splitlines()[0])
    if isinstance(error, (*EXPECTED, SyntaxError)):
        return f"--config={file}: {error}"
    raise error


def _fault_of_file(file: str, error: Exception) -> str | None:
    """Describes an error that a config file made, with its line; None for others."""
    if isinstance(error, SyntaxError) and _same(error.filename, file):
        return f"line {error.lineno}: {error.msg}"
    if isinstance(error, AttributeError) and "'get_config'" in str(error):
        return "it has no function get_config()"
    if "Error whilst parsing config file" in str(error):  # from ml_collections
        return str(error).strip().splitlines()[-1]
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if _same(frame.filename, file)
    ]
    if not lines:
        return None
    return f"line {lines[-1]}: {type(error).__name__}: {error}"


def _same(path: str | None, file: str) -> bool:
    return path is not None and os.path.realpath(path) == os.path.realpath(file)


def parse(argv: list[str], values: flags.FlagValues) -> list[str]:
    """Sets the flags to what `argv` says, None included; returns the other arguments.

    Raises:
      KeyError: a field that the config does not have (from ml_collections).
      flags.Error: a value that a flag cannot have.
    """
    nones = [a for a in argv if re.fullmatch(r"--?config\..+=None", a)]
    rest = values([a for a in argv if a not in nones])
    for argument in nones:
        _set_none(values.config, argument.lstrip("-")[len("config.") : -5])
    return rest


def _set_none(config, dotted: str) -> None:
    """Sets a field to None, which ml_collections does not parse."""
    field, _, rest = dotted.partition(".")
    if field not in {f.name for f in dataclasses.fields(config)}:
        raise KeyError(f"Field {field} not found on dataclass {type(config)}")
    if dataclasses.is_dataclass(getattr(config, field)) and rest:
        return _set_none(getattr(config, field), rest)
    if rest or "None" not in str(typing.get_type_hints(type(config))[field]):
        raise flags.Error(f"--config.{dotted} cannot be None")
    setattr(config, field, None)


def _unknown_field(reason: str) -> str:
    """Turns what ml_collections says of a field into what a user can use."""
    match = re.search(
        r"Field (\S+) not found on dataclass <class '(.+)\.(\w+)'>", reason
    )
    if not match:
        match = re.search(
            r"Attribute <class '(.+)\.(\w+)'>\.(\w+) does not exist", reason
        )
        if match:
            return _no_such_field(match[3], match[1], match[2])
        match = re.search(r"Attribute <class '(\w+)'>\.(\w+) does not.*: (\S+)", reason)
        if match:
            owner = match[3].rpartition(f".{match[2]}")[0]
            return f"config.{owner} is a value ({match[1]}) and has no fields"
        match = re.match(
            r"flag --(\S+)=.*: Unable to parse value .* as instance", reason
        )
        if match:
            return f"--{match[1]} has fields: set --{match[1]}.FIELD=value"
        return reason
    return _no_such_field(*match.groups())


def _no_such_field(field: str, module: str, name: str) -> str:
    owner = getattr(sys.modules.get(module), name, None)
    if owner is None:  # a class of the config file itself
        return f"the config has no field {field!r}"
    fields = [f.name for f in dataclasses.fields(owner)]
    close = difflib.get_close_matches(field, fields, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"the config has no field {field!r}{hint}; there it has: {', '.join(fields)}"
