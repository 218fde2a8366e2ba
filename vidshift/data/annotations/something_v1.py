"""Something-Something V1: 108,499 clips of 174 things done with everyday objects.

To be had from Qualcomm, who took it over from Twenty Billion Neurons, with a form to
fill in: https://www.qualcomm.com/developer/artificial-intelligence/datasets. The parts of
the archive are joined and unpacked as its page says:

    SOURCE/
      something-something-v1-labels.csv         a class a line
      something-something-v1-train.csv          "id;class" a line
      something-something-v1-validation.csv
      something-something-v1-test.csv           an id a line; may be left out
      20bn-something-something-v1/
        1/00001.jpg, 00002.jpg, ...             frames, 12 a second
        2/...

The lists may also lie in `labels/` or `annotations/`. The test's labels were never
published: its clips are for a submission (`vidshift eval --submission`). Clips may be
mirrored, with the class of the mirror image.
"""

from vidshift.data.annotations import frame_lists, mirrored

DATASET = frame_lists.dataset(
    {"train": 86_017, "validation": 11_522, "test": 10_960},
    174,
    name="something-something-v1",
    frames="20bn-something-something-v1",
    words=mirrored.SIDES,
)
