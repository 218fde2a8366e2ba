"""A door to `vidshift bench`."""

import sys

from vidshift.cli import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]])
