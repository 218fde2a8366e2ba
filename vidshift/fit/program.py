"""An experiment sized for absent chips: `vidshift fit`."""

import argparse

from vidshift import config_file
from vidshift.fit.sizing import report
from vidshift.kernels.analysis import chips
from vidshift.nets.zoo import pick


def main(options: argparse.Namespace) -> None:
    pick("target", options.target, chips.CHIPS)
    report(
        config_file.read(options.config, options.fields),
        options.target,
        count=options.chips,
        classes=options.num_classes,
        suggest=options.suggest,
        by_layer=options.by_layer,
        as_json=options.json,
    )
