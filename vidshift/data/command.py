"""Runs an action of `vidshift data`."""

import argparse


def main(options: argparse.Namespace) -> int:
    needed = {"fetch-samples": "out", "leaks": "data_dir"}
    for action, field in needed.items():
        flag, value = f"--{field.replace('_', '-')}", getattr(options, field)
        if options.action == action and value is None:
            raise ValueError(f"{flag}=DIR is needed")
        if options.action != action and value is not None:
            raise ValueError(f"{flag} is for {action}")
    if options.action == "fetch-samples":
        from vidshift.data import samples

        samples.fetch(options.out)
    else:
        from vidshift.data import leaks

        leaks.report(options.data_dir)
    return 0
