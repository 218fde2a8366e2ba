"""Compiles the operations for absent chips: a door to `vidshift targets`."""

import sys

from vidshift.kernels.targets import main

if __name__ == "__main__":
    sys.exit(main())
