"""Shell completion of the command `vidshift`, by shtab."""

import argparse

from vidshift.command_line import config_files
from vidshift.command_line.arguments import Parser


def script(argv: list[str], parsers: dict[str, argparse.ArgumentParser]) -> str:
    """Returns a script for a shell that completes commands, options, files and configs.

    Args:
      argv: the shell's name.
      parsers: of each command.

    Raises:
      SystemExit: shtab does not know that shell.
    """
    import shtab

    chooser = Parser("vidshift completion")
    chooser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    shell = chooser.parse_args(argv).shell
    names = " ".join(config_files.names())
    files = {"FILE": shtab.FILE, "CASE.json": shtab.FILE, "DIR": shtab.DIRECTORY}
    files["NAME|FILE"] = {"bash": "_vidshift_configs", "zsh": f"({names})"}
    whole = argparse.ArgumentParser("vidshift", add_help=False)
    commands = whole.add_subparsers()
    for name, parser in parsers.items():
        summary = parser.description.strip().splitlines()[0]
        one = commands.add_parser(name, parents=[parser], add_help=False, help=summary)
        for action in one._actions:
            if action.metavar in files:
                action.complete = files[action.metavar]
    configs = f'''_vidshift_configs() {{
  compgen -W "{names}" -- "$1"
  compgen -f -X '!*.py' -- "$1"
}}'''
    return shtab.complete(whole, shell=shell, preamble={"bash": configs})
