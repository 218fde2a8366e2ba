"""A door to `vidshift fit`."""

import sys

from vidshift.cli import main

if __name__ == "__main__":
    main(["fit", *sys.argv[1:]])
