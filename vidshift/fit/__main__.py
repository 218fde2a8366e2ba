"""Will it fit, and how fast? Compiles a config's steps for chips that are not here.

    python -m vidshift.fit --config configs/something_v2_tsm_resnet50.py --target v5e
    python -m vidshift.fit --config configs/tiny.py --target v6e --chips 4 \\
        --config.batch_size=256 --json

Needs `pip install -r requirements-targets.txt`, no data set and no accelerator; a
ResNet-50 takes some minutes a row. Each row is the train or eval step of the config's
network, or of the same network without a shift (TSN), at the config's global batch, or
the next one that divides by the chips:

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
line over the batch, so two of them say where it ends, and what is suggested has been
compiled. --no-suggest leaves that out. The exit code is 0 whether it fits or not.
"""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import sys

from absl import flags
from ml_collections import config_flags

from vidshift.fit.sizing import report
from vidshift.kernels.analysis import chips
from vidshift.training import command


def define_flags() -> None:
    config_flags.DEFINE_config_file("config", None, "A file in configs/.")
    flags.DEFINE_enum("target", None, list(chips.CHIPS), "Kind of chip.")
    flags.DEFINE_integer("chips", 1, "Chips of the slice.", lower_bound=1)
    flags.DEFINE_integer(
        "classes", None, "Classes, where the data set is not known.", lower_bound=1
    )
    flags.DEFINE_bool("suggest", True, "Look for the largest batch that fits.")
    flags.DEFINE_bool("json", False, "One JSON object a row.")


def main() -> None:
    options = flags.FLAGS
    if options.config is None:
        raise ValueError("give --config=FILE, a file in configs/")
    if options.target is None:
        raise ValueError(f"give --target, one of {', '.join(chips.CHIPS)}")
    report(
        options.config,
        options.target,
        count=options.chips,
        classes=options.classes,
        suggest=options.suggest,
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.argv = ["--nosuggest" if a == "--no-suggest" else a for a in sys.argv]
    command.run(main, define_flags)
