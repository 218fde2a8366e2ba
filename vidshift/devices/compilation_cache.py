"""Compiled programs, kept in a folder for the next start.

JAX's persistent compilation cache does the work. A program is found again by its
operations, its options, the device and the version of jaxlib; what is found is the same
program, so that a run resumes exactly.
"""

import contextlib
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator

import jax
import jax.monitoring

from vidshift.command_line.progress import Say, to_stderr, working

AUTO = "auto"  # the folder in the user's cache
# The programs used least lately are removed beyond it. Those of a small network take
# below 1 MB.
MAX_BYTES = 2 << 30
# Programs that compile faster are compiled again.
LEAST_SECONDS = 0.1
# More than any program of a network that is quickly tried.
PROBE_BYTES = 1 << 20
HIT = "/jax/compilation_cache/cache_hits"
COMPILED = "/jax/core/compile/backend_compile_duration"  # or read from the cache


def keep_programs(folder: str | None = AUTO, say: Say = to_stderr) -> None:
    """Keeps compiled programs in a folder, where jax's own variables say nothing else.

    `JAX_COMPILATION_CACHE_DIR` is another folder, `JAX_ENABLE_COMPILATION_CACHE=false`
    none. A folder that cannot be written to is none either, which is said.

    Args:
      folder: or AUTO, `vidshift/compiled` in the user's cache; None keeps nothing.
      say: takes a line.
    """
    config = jax.config
    if folder is None:
        config.update("jax_enable_compilation_cache", False)
    if not config.jax_enable_compilation_cache or config.jax_compilation_cache_dir:
        return
    path = users_folder() if folder == AUTO else pathlib.Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        say(f"compiled programs are not kept in {path}: {error.strerror}")
        return
    config.update("jax_compilation_cache_dir", str(path))
    # What the user set by jax's variables stays.
    for name, value in {
        "jax_compilation_cache_max_size": MAX_BYTES,
        "jax_persistent_cache_min_compile_time_secs": LEAST_SECONDS,
    }.items():
        if name.upper() not in os.environ:
            config.update(name, value)


def users_folder() -> pathlib.Path:
    """Returns `vidshift/compiled` in $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(cache, "vidshift", "compiled").expanduser()


class Programs:
    """Numbers of programs that were compiled, and of those that the cache had."""

    def __init__(self):
        self.all = self.cached = 0

    @classmethod
    @contextlib.contextmanager
    def watched(cls) -> Iterator["Programs"]:
        """Counts the programs of this process while the context lasts."""
        programs = cls()

        def on_event(event: str, **_) -> None:
            programs.cached += event == HIT

        def on_duration(event: str, seconds: float, **_) -> None:
            programs.all += event == COMPILED

        jax.monitoring.register_event_listener(on_event)
        jax.monitoring.register_event_duration_secs_listener(on_duration)
        try:
            yield programs
        finally:
            jax.monitoring.unregister_event_listener(on_event)
            jax.monitoring.unregister_event_duration_listener(on_duration)


@contextlib.contextmanager
def compiling(
    what: str, say: Say = to_stderr, *, begin: bool = False
) -> Iterator[None]:
    """Says that the first call of a program compiles it, and how long that took.

    It says nothing at the end where nothing was compiled.

    Args:
      what: such as "the train step".
      say: takes a line.
      begin: say that it compiles at once, not only where it takes a second.
    """
    began = time.perf_counter()
    with Programs.watched() as programs, working(f"compiling {what}", say, begin=begin):
        yield
    seconds = time.perf_counter() - began
    if programs.all and programs.all == programs.cached:
        say(f"{what} came from the cache in {shown_folder()} ({seconds:.0f} s)")
    elif programs.all:
        say(f"compiled {what} in {seconds:.0f} s")


def shown_folder() -> str:
    """Returns the folder with `~` for the user's home."""
    folder = jax.config.jax_compilation_cache_dir or ""
    home = os.path.expanduser("~")
    return "~" + folder[len(home) :] if folder.startswith(f"{home}/") else folder
