"""A door to `vidshift cost`."""

import sys

from vidshift.cli import main

if __name__ == "__main__":
    main(["cost", *sys.argv[1:]])
