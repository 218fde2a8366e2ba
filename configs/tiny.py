"""The quick start: TSM in a small ResNet on `ordered_motion`, on any machine.

    vidshift train

Two to three minutes on two CPU cores; 100 % of the test clips right (measured, see the
README). `--config.model.temporal=tsn` is the same network without a view of time, which
cannot tell a clip from the same clip played backwards.
"""

from vidshift.recipes import small


def get_config():
    return small.ordered_motion()
