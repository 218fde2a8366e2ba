"""What `train.py` and `eval.py` share as commands: flags, one-line errors, signals."""

import dataclasses
import difflib
import logging
import os
import re
import signal
import sys
import typing
from collections.abc import Callable

import absl.logging
from absl import app, flags


def run(main: Callable[[], int | None], *, config: str | None = None) -> None:
    """Parses the flags and calls `main`; wrong input is one line and exit code 2.

    `VIDSHIFT_TRACEBACK=1` shows where an error came from.

    Args:
      config: the file that `--config` names when it is not given; None where the
        program takes no config.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)  # Orbax and TFDS talk a lot
    ours = logging.getLogger("vidshift")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    ours.propagate = False
    if config and not any(a.lstrip("-").startswith("config=") for a in sys.argv[1:]):
        sys.argv.insert(1, f"--config={config}")
    app.run(lambda _: sys.exit(_guarded(main)), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    program = os.path.basename(argv[0])
    for argument in argv[1:]:
        path = argument.partition("=")[2]
        if re.match("--?config=", argument) and not os.path.isfile(path):
            _fail(program, f"--config={path}: no such file")
        if re.fullmatch("--?h(elp)?", argument):
            print(sys.modules["__main__"].__doc__)
            print("Fields of --config: vidshift/training/config.py. Flags:")
            print(flags.FLAGS.main_module_help())
            sys.exit(0)
    try:
        rest = parse(argv, flags.FLAGS)
    except KeyError as error:  # ml_collections: a field that the config does not have
        _fail(program, _unknown_field(str(error.args[0])))
    except (flags.Error, OSError) as error:
        _fail(program, str(error).splitlines()[0])
    if rest[1:]:
        _fail(program, f"unexpected argument {rest[1]!r}; flags look like --name=value")
    return rest


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
    """Turns "Field F not found on dataclass <class 'M.C'>" into what a user can use."""
    found = re.search(
        r"Field (\S+) not found on dataclass <class '(.+)\.(\w+)'>", reason
    )
    if not found:
        return reason
    field, module, name = found.groups()
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
        return 128 + signal.SIGINT
    except (ValueError, ArithmeticError, OSError, RuntimeError) as error:
        if os.environ.get("VIDSHIFT_TRACEBACK"):
            raise
        _fail(os.path.basename(sys.argv[0]), " ".join(str(error).split()))


def _fail(program: str, reason: str) -> None:
    print(f"{program}: error: {reason}", file=sys.stderr)
    sys.exit(2)


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
