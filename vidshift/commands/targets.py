"""Compiles the operations for an absent chip, and counts their bytes.

    vidshift targets --target v5e
    vidshift targets --target h100 --op shift3d --shape rubiks_56 --json

Compiles each implementation that can run on the chip, forward and backward (the
vector-Jacobian product alone), at each named shape, as a program of its own. The
layouts of operands and results are left to the compiler, as in a network, where
neighbours agree on them.

  fewest    MB that the operation cannot avoid: operands read once, results written once,
            as the chip stores them with channels in lanes (traffic.py)
  us        microseconds that these take at the memory's peak, by the data sheet
  pad       those MB, over the MB of the same arrays without the TPU's padding
  kernel    MB that the kernel's own loads and stores move, and over fewest; no compiler
            is asked, the grid's blocks are counted (TPU), or the tiles (GPU)
  program   MB of the whole program, kernel included (hlo.py), and over fewest; what a
            GPU's fusion reads again through its caches is not seen here
  temp      MB of memory that the program needs besides operands and results
  Gflop, Mcycles   the TPU compiler's estimates; a kernel has no cycles, a GPU neither
  regs, spill      a GPU kernel's registers a thread, and bytes it keeps in memory instead

Exits with 1 if an implementation that should compile for the chip does not.
"""

from vidshift.command_line.arguments import add_cases

PROGRAM = "vidshift.kernels.targets"


def add_arguments(parser):
    add_cases(parser)
    parser.add_argument(
        "--target", required=True, metavar="CHIP", help="v5e, v6e or h100"
    )
