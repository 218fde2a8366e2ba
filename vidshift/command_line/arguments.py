"""Arguments of commands: one parser for all, and the types and flags that several take."""

import argparse
import math
import re
import sys

from vidshift.command_line import config_files
from vidshift.command_line.suggest import near

# Help of `--map-classes`, of commands that join a run with data.
MAP_CLASSES = "take the data's classes by name where the run has them in another order"


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one line."""

    def error(self, message: str):
        print(f"{self.prog}: error: {message}", file=sys.stderr)
        sys.exit(2)


def make_parser(prog: str, description: str) -> Parser:
    """Returns a parser whose help is a command's docstring as it is written."""
    return Parser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def parse(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Returns the options; `fields` of them are the arguments `--config.FIELD=VALUE`.

    Flags are spelt with hyphens, and with underscores as well; a value follows `=` or a
    space.

    Raises:
      SystemExit: an argument is wrong, which one line says.
    """
    fields, rest = _split(argv)
    options, unknown = parser.parse_known_args(rest)
    if fields and not hasattr(options, "config"):
        unknown = [*unknown, fields[0]]
    if unknown:
        flag = unknown[0].partition("=")[0]
        hint = near(flag, parser._option_string_actions) if flag[:1] == "-" else ""
        parser.error(f"unexpected argument {unknown[0]!r}{hint}")
    options.fields = fields
    return options


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Returns the config's fields as `--config.FIELD=VALUE`, and the other arguments."""
    fields, rest = [], []
    for at, argument in enumerate(argv):
        of_a_field = at and re.fullmatch(r"--config\.[\w.]+", argv[at - 1])
        if of_a_field and re.match(r"[^-]|-\.?\d", argument):
            fields[-1] += f"={argument}"
        elif re.match(r"--(no)?config\.", argument):
            fields.append(argument)
        elif not argument.startswith("--"):
            rest.append(argument)
        else:
            flag, equals, value = argument.partition("=")
            rest.append(flag.replace("_", "-") + equals + value)
    return fields, rest


def add_config(parser: argparse.ArgumentParser, **more) -> None:
    """Adds `--config` and, for the help, `--config.FIELD`."""
    parser.add_argument(
        "--config",
        metavar="NAME|FILE",
        type=config,
        help="a config by name, or a file with get_config()"
        + (f" (default: {more['default']})" if "default" in more else ""),
        **more,
    )
    fields = parser.add_argument_group("fields of the config (vidshift/config.py)")
    fields.add_argument(
        "--config.FIELD", metavar="VALUE", help="such as --config.optim.lr=0.05"
    )


def add_run(parser: argparse._ActionsContainer, *names: str, **more) -> None:
    """Adds `--run`; `more` are other arguments of `add_argument`."""
    more = {"metavar": "DIR", "help": "a run's folder, or one checkpoint"} | more
    parser.add_argument("--run", *names, **more)


def add_checkpoint(parser: argparse.ArgumentParser, default: str = "best") -> None:
    parser.add_argument(
        "--checkpoint",
        choices=("best", "last"),
        default=default,
        help=f"of the run (default: {default})",
    )


def add_protocol(parser: argparse.ArgumentParser, averaged: str = "views") -> None:
    """Adds the flags of commands that score videos; `averaged` is for the help."""
    add = parser.add_argument
    add(
        "--protocol", default="1x1", metavar="NAME", help="clips x crops (default: 1x1)"
    )
    add(
        "--average",
        metavar="NAME",
        help=f"of {averaged}: logits or softmax; the protocol's if left out",
    )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of commands that join a run with data."""
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the data set lies, if moved"
    )
    parser.add_argument("--map-classes", action="store_true", help=MAP_CLASSES)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a row")


def add_cases(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that choose among the kernels' operations and shapes."""
    add = parser.add_argument
    add("--op", metavar="NAME", help="one operation; default: all")
    add("--implementation", metavar="NAME", help="one; default: all")
    add(
        "--shape",
        metavar="NAME",
        help="one of vidshift/kernels/analysis/shapes.py; default: all",
    )
    add("--dtype", metavar="NAME", default="bfloat16", help="of x (default: bfloat16)")
    add_json(parser)


def config(text: str) -> str:
    """A config's name, or its file."""
    try:
        config_files.find(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def count(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, got {text}")
    return number


def positive(text: str) -> float:
    """A number above 0."""
    number = float(text)
    if not 0 < number < math.inf or 1 / number == math.inf:
        raise argparse.ArgumentTypeError(f"more than 0, got {text}")
    return number


# What argparse calls text that is none.
count.__name__ = "whole number"
positive.__name__ = "number"
