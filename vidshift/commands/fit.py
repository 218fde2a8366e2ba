"""Compiles a config's steps for absent chips: memory, traffic, time.

    vidshift fit --config something_v2_tsm_resnet50 --target v5e
    vidshift fit --config tiny --target v6e --chips 4 \\
        --config.batch_size=256 --json

Needs the extra [targets], no data set and no accelerator. A ResNet-50 takes some
minutes a row. Each row is the train or eval step of the config's network, or of the
same network without a shift (TSN), at the config's global batch, or the next one that
divides by the chips:

  args out temp code  MB on each chip: state and batch, results that do not take an
            argument's place, the compiler's working memory, the program itself
  kept      MB that a run keeps there meanwhile: two more batches in training, the
            optimiser's state in evaluation
  total     their sum, and its share of what a program can have of the chip's memory
  moved     GB read and written in a chip's memory: operands and results of each
            instruction and kernel of the compiled program
  Gflop     of one chip's matrix products and convolutions, counted in the program
            before it is compiled
  Mcycles   what the TPU's compiler models, and each kernel's bytes at the memory's peak;
            for comparing programs, since the compiler is more careful than a kernel
  ms        a step at the chip's limits: the longer of moved over bandwidth ("memory")
            and Gflop over peak ("compute"). No step is faster; how near one comes to it
            only the chip can tell
  clips/s   at that rate, of one chip and of all. In evaluation each view is a clip
  links     ms that the collectives take at least, not part of the step above: part of it
            is hidden behind computing
  collectives  of a step: how many, and MB on each chip

Then it looks for the largest batch whose train step fits: memory is nearly a straight
line over the batch, so two batches say where it ends; the suggested one has been
compiled. --no-suggest leaves that out. --by-layer lists below each row the bytes,
launches and modelled cycles by function of this package and by kind of instruction, the
most first; a gradient counts with its function. The exit code is 0 whether it fits or not.
"""

from vidshift.command_line.arguments import add_config, add_json, count

PROGRAM = "vidshift.fit.program"


def add_arguments(parser):
    add_config(parser, required=True)
    add = parser.add_argument
    add("--target", required=True, metavar="CHIP", help="v5e, v6e or h100")
    add("--chips", type=count, default=1, help="of the slice (default: 1)")
    add("--num-classes", type=count, help="where the data set is not known")
    add(
        "--no-suggest",
        dest="suggest",
        action="store_false",
        help="do not look for the largest batch that fits",
    )
    add(
        "--by-layer",
        action="store_true",
        help="list below each row which function moves how much, in how many launches",
    )
    add_json(parser)
