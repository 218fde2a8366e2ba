"""Times the operations: a door to `vidshift bench`."""

import sys

from vidshift.kernels.bench import main

if __name__ == "__main__":
    sys.exit(main())
