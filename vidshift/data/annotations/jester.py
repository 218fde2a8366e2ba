"""Jester: 148,092 clips of 27 hand gestures before a laptop's camera.

To be had from Qualcomm, who took it over from Twenty Billion Neurons, with a form to
fill in: https://www.qualcomm.com/developer/software/jester-dataset. The parts of the
archive are joined and unpacked as its page says:

    SOURCE/
      jester-v1-labels.csv                      a class a line
      jester-v1-train.csv                       "id;class" a line
      jester-v1-validation.csv
      jester-v1-test.csv                        an id a line; may be left out
      20bn-jester-v1/
        1/00001.jpg, 00002.jpg, ...             frames, 12 a second
        2/...

The lists may also lie in `labels/` or `annotations/`. The test's labels were never
published: its clips are for a submission (`vidshift eval --submission`). Clips may be
mirrored, with the class of the mirror image: left is right then, and clockwise is
counterclockwise.
"""

from vidshift.data.annotations import frame_lists, mirrored

DATASET = frame_lists.dataset(
    {"train": 118_562, "validation": 14_787, "test": 14_743},
    27,
    name="jester-v1",
    frames="20bn-jester-v1",
    words={**mirrored.SIDES, **mirrored.TURNS},
)
