"""Colours that people with any kind of colour vision tell apart."""

# Okabe and Ito (2008), "Color universal design", without yellow, which is faint on white.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, BLACK = "#CC79A7", "#E69F00", "#56B4E9", "#000000"
IN_ORDER = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
# Dimensions that a step down a curve of sub-networks reduces. A3D's figures have red,
# green, blue and black, of which the first two look alike to many people.
GIVEN_UP = {
    "side": (VERMILION, "smaller pictures"),
    "frames": (GREEN, "fewer frames"),
    "width": (BLUE, "fewer channels"),
    "several": (BLACK, "several of them"),
}
# In the same order as the colours, so that they are told apart in grey as well.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
