"""The console command `vidshift`: finds a command, parses its arguments and runs it.

A module of `vidshift/commands/` has a command's help and arguments, and names the program
that is imported once they are parsed: programs take seconds to import, help does not.
"""

import argparse
import importlib
import os
import sys
import types
from typing import NoReturn

import vidshift
from vidshift.command_line import arguments, completion, errors, suggest
from vidshift.command_line.quiet import quiet_libraries, quiet_plugins

# Heading of the help -> commands.
GROUPS = {
    "train and evaluate": ("train", "eval", "predict", "compare", "schemes"),
    "data and weights": ("prepare", "data", "convert"),
    "use": ("stream", "export", "features"),
    "look inside": ("pictures", "early", "budgets", "probe"),
    "cost and speed": ("cost", "fit", "speed", "measure"),
    "kernels": ("parity", "bench", "targets"),
}
COMMANDS = tuple(name for group in GROUPS.values() for name in group)


def main(argv: list[str] | None = None) -> NoReturn:
    """Runs `vidshift ARGUMENTS` and ends the process with the command's exit code.

    Bad input is one line and exit code 2; `VIDSHIFT_TRACEBACK=1` shows where it came from.

    Args:
      argv: arguments, those of the process if None.
    """
    sys.argv = ["vidshift", *(sys.argv[1:] if argv is None else argv)]
    errors.one_line()  # before the imports, which take seconds
    command, options = parse(sys.argv[1:])
    quiet_plugins()
    program = importlib.import_module(command.PROGRAM)
    errors.imported()
    quiet_libraries()
    sys.exit(program.main(options))


def run(argv: list[str], **more) -> int:
    """Runs `vidshift ARGV` inside a program; returns the exit code.

    Bad input is written to stderr as one line, and 2 is returned.

    Args:
      argv: the command and its arguments.
      **more: other arguments of the program's `main`.
    """
    command, options = parse([errors.expand_home(argument) for argument in argv])
    try:
        return importlib.import_module(command.PROGRAM).main(options, **more) or 0
    except errors.EXPECTED as error:
        if os.environ.get("VIDSHIFT_TRACEBACK"):
            raise
        print(f"vidshift {argv[0]}: error: {errors.as_line(error)}", file=sys.stderr)
        return 2


def parse(argv: list[str]) -> tuple[types.ModuleType, argparse.Namespace]:
    """Returns the command's module and its options.

    Raises:
      SystemExit: with 0 after help, with 2 after one line about a wrong argument.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        sys.exit(0)
    if argv[0] == "--version":
        print(vidshift.__version__)
        sys.exit(0)
    if argv[0] == "completion":
        print(completion.script(argv[1:], parsers()))
        sys.exit(0)
    name, *rest = argv
    if name not in COMMANDS:
        hint = suggest.near(name, COMMANDS)
        print(
            f"vidshift: error: there is no command {name!r}{hint}; "
            "vidshift --help lists them",
            file=sys.stderr,
        )
        sys.exit(2)
    command = module_of(name)
    return command, arguments.parse(parser_of(name), rest)


def module_of(name: str) -> types.ModuleType:
    return importlib.import_module(f"vidshift.commands.{name}")


def parser_of(name: str) -> argparse.ArgumentParser:
    command = module_of(name)
    parser = arguments.make_parser(f"vidshift {name}", command.__doc__)
    command.add_arguments(parser)
    return parser


def parsers() -> dict[str, argparse.ArgumentParser]:
    return {name: parser_of(name) for name in COMMANDS}


def usage() -> str:
    """Returns the help: each command with its first sentence and its first example."""
    lines = [
        "usage: vidshift COMMAND [OPTIONS]",
        "",
        "Video networks that model time by moving features.",
    ]
    for heading, names in GROUPS.items():
        lines += ["", f"{heading}:"]
        for name in names:
            paragraphs = module_of(name).__doc__.strip().splitlines()
            example = next(x for x in paragraphs if x.startswith("    "))
            example = example.partition("  #")[0].strip(" \\")
            lines += [f"  {name:9} {paragraphs[0]}", f"  {'':9}   {example}"]
    lines += [
        "",
        "vidshift COMMAND --help     all of a command's options",
        "vidshift completion SHELL   a script that completes them in bash, zsh, fish or tcsh",
        "vidshift --version",
    ]
    return "\n".join(lines) + "\n"
