"""Evaluates a run: a door to `vidshift.eval`."""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

from vidshift.eval import define_flags, main
from vidshift.training import command

if __name__ == "__main__":
    command.run(main, define_flags)
