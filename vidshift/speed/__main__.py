"""A door to `vidshift speed`."""

import sys

from vidshift.cli import main

if __name__ == "__main__":
    main(["speed", *sys.argv[1:]])
