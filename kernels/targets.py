"""A door to `vidshift targets`."""

import sys

from vidshift.cli import main

if __name__ == "__main__":
    main(["targets", *sys.argv[1:]])
