"""Shell completion of the command `vidshift`, by shtab."""

import argparse

SHELLS = ("bash", "zsh", "tcsh")


def script(argv: list[str], parsers: dict[str, argparse.ArgumentParser]) -> str:
    """Returns the script that makes a shell complete commands and their options.

    Args:
      argv: the shell's name.
      parsers: of each command.

    Raises:
      SystemExit: no such shell.
    """
    import shtab

    whole = argparse.ArgumentParser("vidshift", add_help=False)
    commands = whole.add_subparsers()
    for name, parser in parsers.items():
        commands.add_parser(name, parents=[parser], add_help=False)
    chooser = argparse.ArgumentParser("vidshift completion")
    chooser.add_argument("shell", choices=SHELLS)
    return shtab.complete(whole, shell=chooser.parse_args(argv).shell)
