"""Draws what a network has learned about time.

    vidshift pictures --run runs/mine
    vidshift pictures --run runs/tsn --run runs/tsm --video holiday.mp4 --out holiday.gif

Draws into RUN/pictures, with the numbers of each picture as JSON beside it:

- for a RubiksNet with attention, which shifts its layers chose, and the budget (Figure
  5 of Fan et al., ECCV 2020), with a table of the share of it that groups of layers take;
- for any RubiksNet, how far its learned shifts go in space and time, by depth (Figure
  6), and without attention, some layers in 3-D from several sides (Figure A1), with
  `--turn` also as a GIF in which they turn;
- for GSM and GSF, histograms of the gates of each layer, over clips of a split (Figure
  8 of Sudhakaran et al., TPAMI 2023).

With `--video` it draws a moving picture instead: the clip that the network sees of the
video, then the same clip played backwards, and the most probable classes of each. Several
runs of the same classes are drawn side by side.

Prints one JSON line with the files' names.
"""

from vidshift.command_line.arguments import add_checkpoint, add_data_dir, add_run, count

PROGRAM = "vidshift.pictures"


def add_arguments(parser):
    add = parser.add_argument
    about = "a run's folder, or one checkpoint; several with --video"
    add_run(parser, required=True, action="append", help=about)
    add_checkpoint(parser)
    about = "default: pictures/ of the run; with --video a file's name, FILE.gif"
    add("--out", metavar="DIR", help=about)
    add_data_dir(parser)
    add(
        "--split",
        default="validation",
        help="whose clips gates are shown (default: validation)",
    )
    add("--clips", type=count, default=64, help="how many of them (default: 64)")
    add("--turn", action="store_true", help="learned shifts turning, as a GIF")
    add("--video", metavar="FILE", help="is shown forwards and backwards")
    add(
        "--top", type=count, default=4, help="classes to draw with --video (default: 4)"
    )
