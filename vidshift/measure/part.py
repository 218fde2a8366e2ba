"""Runs a part of `vidshift measure` in a process of its own, and prints its rows.

python -m vidshift.measure.part check --folder DIR --platform cuda --dtype bfloat16
"""

import argparse
import importlib
import json
import pathlib
import sys

from vidshift.command_line.quiet import quiet_libraries, quiet_plugins
from vidshift.measure import folder
from vidshift.measure.parts import PARTS, Settings


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args(argv)
    settings = Settings(options.platform, options.dtype, options.small)
    quiet_plugins()
    module = importlib.import_module(PARTS[options.part].module)
    quiet_libraries()
    _start_jax(options.folder)
    keys = module.keys(settings)
    say({"jobs": len(keys)})
    done = folder.done(folder.Folder(options.folder).file(options.part))
    missing = {key for key in keys if key not in done}
    if missing:
        for row in module.rows(settings, missing):
            say(row)
    return 0


def say(line: dict) -> None:
    print(json.dumps(line), flush=True)


def _start_jax(path: pathlib.Path) -> None:
    """Finds the devices, and keeps compiled programs for later parts and calls."""
    import jax

    from vidshift.kernels import bench

    bench.start_jax()
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(path / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
