"""Counts parameters and multiplications, beside the papers' figures.

    vidshift cost                          # every published row
    vidshift cost resnet50/gsf             # its rows
    vidshift cost resnet50/gsf:ratio=0.5 --num-frames 16 --num-classes 101   # any other
    vidshift cost --blocks                 # RubiksNet's block beside convolutions

A NAME is BACKBONE/TEMPORAL, with options of vidshift.create after a colon and commas
between them; BACKBONE alone is TSN. "NAME + NAME" is an ensemble: the sum of its
networks. A name gives the published rows of the same network, whichever of its options
are written out; without a published row it is counted as asked.

Both figures are counted from the network itself. Parameters are what is trained. `macs`
are the products of convolutions and linear layers for one clip, with windows that hang
over the edge counted whole. Where a source counts element-wise work too, the last
columns count as it does: `as the source counts`. Below several rows stands how many agree
with what their papers print.

--blocks counts one block as RubiksNet's supplement does (section A4, Figures A2 to A4):
8 frames of 112 x 112, 72 channels in and out, as a 3-D convolution, as a shift and a 2-D
convolution, and as RubiksShift. MACs are with two for an element of a batch norm and six
for an interpolated one, which meet the totals of that paper's tables. Percentages are of
the block itself; `saved of 3-D` is what it costs less than the 3-D convolution.
"""

from vidshift.command_line.arguments import add_json, count

PROGRAM = "vidshift.cost.program"


def add_arguments(parser):
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="default: all that is published")
    add("--num-classes", type=count, dest="classes", help="of the head (default: 400)")
    add("--num-frames", type=count, dest="frames", help="of a clip (default: 8)")
    add("--side", type=count, help="of a frame, pixels (default: 224)")
    add("--in-channels", type=count, help="of a frame; 3, of a flow 2")
    add("--blocks", action="store_true", help="RubiksNet's block, part by part")
    add_json(parser)
