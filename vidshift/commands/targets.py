"""Compiles the operations for an absent chip, and counts their bytes.

    vidshift targets --target v5e
    vidshift targets --target h100 --op shift3d --shape rubiks_56 --json
    vidshift targets --target h100 --op shift3d --implementation triton --sass

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

`--sass` adds, for a GPU kernel, what its machine code and its grid say of its speed:

  instr     instructions that its threads execute for each element of the result: the whole
            code, loops as often as they run, both sides of a branch, predicated ones, idle
            threads, and rows that a program computes for its neighbours' sake, divided by
            the elements; - where the shifts decide how often a loop runs
  progs     programs that fit on an H100's core, by registers, threads and shared memory
  lanes     the share of the threads' lanes that have an element of the result
  sector    the share that programs use of the sectors of 32 bytes that they load

Exits with 1 if an implementation that should compile for the chip does not.
"""

from vidshift.command_line.arguments import add_cases

PROGRAM = "vidshift.kernels.targets"


def add_arguments(parser):
    add_cases(parser)
    parser.add_argument(
        "--target", required=True, metavar="CHIP", help="v5e, v6e or h100"
    )
    parser.add_argument(
        "--sass", action="store_true", help="instructions and room of a GPU's kernels"
    )
