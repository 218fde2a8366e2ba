"""What `train.py` and `eval.py` share as commands: flags, one-line errors, signals."""

import dataclasses
import difflib
import functools
import logging
import os
import re
import signal
import sys
import traceback
import types
import typing
from collections.abc import Callable

import absl.logging
from absl import app, flags

from vidshift.command_line.errors import EXPECTED, INTERRUPTED, fail, imported
from vidshift.config import Config


def run(
    main: Callable[[], int | None],
    define_flags: Callable[[], None] = lambda: None,
    *,
    config: str | None = None,
) -> None:
    """Parses the flags and calls `main`; wrong input is one line and exit code 2.

    `VIDSHIFT_TRACEBACK=1` shows where an error came from.

    Args:
      main: of the program, whose module's docstring is its help.
      define_flags: defines the program's flags.
      config: the file that `--config` names when it is not given; None where the
        program takes no config.
    """
    imported()
    define_flags()
    absl.logging.set_verbosity(absl.logging.ERROR)  # Orbax and TFDS talk a lot
    absl.logging.get_absl_handler().addFilter(_is_not_raised_too)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the same of its tasks
    ours = logging.getLogger("vidshift")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    ours.propagate = False
    sys.argv = _joined(sys.argv)
    module = sys.modules[main.__module__]
    if config and not any(re.match("--?config=", a) for a in sys.argv[1:]):
        sys.argv.insert(1, f"--config={config}")
    app.run(
        lambda _: sys.exit(_guarded(main)),
        flags_parser=functools.partial(_parse, module),
    )


def _is_not_raised_too(record: logging.LogRecord) -> bool:
    """Keeps out errors of Orbax's threads, which it raises in ours as well."""
    return not (record.exc_info and "orbax" in record.pathname)


def _joined(argv: list[str]) -> list[str]:
    """Returns `--config FILE` as `--config=FILE`, and `--data-dir` as `--data_dir`."""
    underscored = lambda flag: "--" + flag[0][2:].replace("-", "_")
    argv = [re.sub(r"^--[\w-]+(?==|$)", underscored, argument) for argument in argv]
    for at, argument in enumerate(argv[:-1]):
        if re.fullmatch("--?config", argument) and not argv[at + 1].startswith("-"):
            argv[at : at + 2] = [f"--config={argv[at + 1]}"]
            break
    return argv


def _parse(module: types.ModuleType, argv: list[str]) -> list[str]:
    file = None
    for argument in argv[1:]:
        if re.fullmatch("--?config", argument):
            fail("--config needs a file: --config=configs/NAME.py")
        if re.match("--?config=", argument):
            file = argument.partition("=")[2]
            if not os.path.isfile(file):
                fail(f"--config={file}: no such file")
        if re.fullmatch("--?h(elp)?", argument):
            print(module.__doc__)
            print("Fields of --config: vidshift/config.py. Flags:")
            print(
                flags.FLAGS.main_module_help()
                if module.__name__ == "__main__"
                else flags.FLAGS.module_help(module.__name__)
            )
            sys.exit(0)
    try:
        rest = parse(argv, flags.FLAGS)
        config = flags.FLAGS.config if file else None
    except Exception as error:
        if file and (reason := _fault_of_file(file, error)):
            fail(f"--config={file}: {reason}")
        # From ml_collections: a field that the config does not have.
        if isinstance(error, KeyError):
            fail(_unknown_field(str(error.args[0])))
        if isinstance(error, flags.Error | OSError):
            fail(_unknown_field(str(error).splitlines()[0]))
        if file and isinstance(error, (*EXPECTED, SyntaxError)):
            fail(f"--config={file}: {error}")
        raise
    if file and not isinstance(config, Config):
        fail(
            f"--config={file}: get_config() must return a vidshift.config."
            f"Config, got a {type(config).__name__}"
        )
    if rest[1:]:
        fail(f"unexpected argument {rest[1]!r}; flags look like --name=value")
    return rest


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


def _guarded(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except EXPECTED as error:
        if os.environ.get("VIDSHIFT_TRACEBACK"):
            raise
        fail(error)


class StopRequest:
    """True once SIGTERM or SIGINT came; a second signal ends the process at once."""

    def __init__(self):
        self.signal: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number, frame):
        del frame
        if self.signal is not None:
            sys.exit(128 + number)
        self.signal = number

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it."""
        return 128 + (self.signal or signal.SIGTERM)
