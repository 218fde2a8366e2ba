"""Which way real videos play: TSM in a ResNet-18, without labels, on any machine.

    vidshift prepare arrow_of_time --source VIDEOS --out datasets
    vidshift train --config=arrow_of_time --workdir=runs/arrow --config.data.dir=datasets

VIDEOS is any folder of videos; `vidshift data fetch-samples --out samples` fetches a few
into samples/videos. `--config.data.options.label=` chooses what is learned: `direction`
(the default), `speed`, `both`, or `place` (which third of which video, for which frames
are enough). `--config.model.temporal=tsn`, which is blind to order, has exactly 50 % of
the directions. Other trainings start from the run by `--config.init=runs/arrow`. Time
and accuracy depend on the videos.
"""

from vidshift.recipes import small


def get_config():
    return small.arrow_of_time()
