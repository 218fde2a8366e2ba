"""Imports of the process that workers are forked from (`processes.PRELOADED`)."""

from absl import logging

from vidshift.command_line.quiet import quiet_plugins

quiet_plugins()  # before jax is imported

import vidshift.data.sources.datasets  # noqa: F401

logging.set_verbosity(logging.ERROR)  # TFDS talks a lot
