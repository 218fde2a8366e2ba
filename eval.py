"""A door to `vidshift eval`; the program is vidshift/eval.py."""

import sys

from vidshift.cli import main

if __name__ == "__main__":
    main(["eval", *sys.argv[1:]])
