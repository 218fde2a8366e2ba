"""A door to `vidshift train`; the program is vidshift/train.py."""

import sys

from vidshift.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
