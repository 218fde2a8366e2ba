"""Times the operations on this machine's device, and measures their errors.

    vidshift bench
    vidshift bench --op shift3d --shape rubiks_56 --seconds 2 --trace /tmp/trace

Times every implementation that runs here, forward and backward (the vector-Jacobian
product alone), at each named shape. Implementations take turns with each other and with
"the copy" (`a` -> `-a`), which moves as many bytes as the operation has to. On an
accelerator a program calls its operation on several inputs in turn, so that neither the
host's part of a call nor the device's caches are timed.

  error   the largest difference from the float64 reference over its largest value, on the
          first clip: dy is zero in the others, so the shift's gradient is that clip's
  ms      median of blocks of calls, and quartiles
  GB/s    bytes that the operation cannot avoid (no padding counted), by that time
  copy    the copy's time over this one's: 1.00 is as fast as memory allows
  xla     xla's time over this one's
"""

from vidshift.command_line.arguments import add_cases, positive

PROGRAM = "vidshift.kernels.bench"


def add_arguments(parser):
    add_cases(parser)
    add = parser.add_argument
    add(
        "--seconds",
        type=positive,
        default=0.3,
        help="of timing a row, roughly (default: 0.3)",
    )
    add("--trace", metavar="DIR", help="record a trace, and read it back")
