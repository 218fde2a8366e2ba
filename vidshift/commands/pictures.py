"""Draws what a network has learned about time.

    vidshift pictures --run runs/mine

Draws into RUN/pictures, with the numbers of each picture as JSON beside it:

- of a RubiksNet with attention which shifts its layers chose, and the budget (Figure 5 of
  Fan et al., ECCV 2020);
- of any RubiksNet how far its learned shifts go in space and time, by depth (Figure 6);
- of GSM and GSF histograms of the gates of each layer, over clips of a split (Figure 8 of
  Sudhakaran et al., TPAMI 2023).

Prints one JSON line with the files' names.
"""

from vidshift.command_line.arguments import add_checkpoint, add_data_dir, add_run, count

PROGRAM = "vidshift.pictures"


def add_arguments(parser):
    add = parser.add_argument
    add_run(parser, required=True)
    add_checkpoint(parser)
    add("--out", metavar="DIR", help="default: pictures/ of the run")
    add_data_dir(parser)
    add("--split", default="validation", help="whose clips gates are shown; validation")
    add("--clips", type=count, default=64, help="how many of them; 64")
