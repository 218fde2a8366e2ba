"""Errors of commands: one line that says what to change, then exit code 2.

A command calls `one_line()` before its imports, which take seconds. This module imports
nothing that does.
"""

import contextlib
import errno
import os
import pathlib
import signal
import sys
import threading
from typing import NoReturn

# What bad input raises. Other types are faults of this project, and show a traceback.
EXPECTED = (ValueError, ArithmeticError, OSError, RuntimeError, ImportError)

# Exit code after Ctrl-C, as shells report it.
INTERRUPTED = 128 + signal.SIGINT

# Errors that end a library's thread too, where the main thread meets them as well.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def one_line() -> None:
    """Turns uncaught errors of this process into one line, and `~` into a home folder.

    `VIDSHIFT_TRACEBACK=1` shows where an error came from.
    """
    sys.argv[1:] = [expand_home(argument) for argument in sys.argv[1:]]
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_a_thread
    _leave_at_once()


def _leave_at_once() -> None:
    """Makes Ctrl-C end the process; an exception would get lost where all are caught."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


@contextlib.contextmanager
def interrupted_at_once():
    """Lets Ctrl-C end the process, while JAX first looks for its devices."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _leave_at_once()
    try:
        yield
    finally:
        imported()


def check_out(flag: str, path: str | os.PathLike, *, folder: bool) -> None:
    """Refuses what cannot be written to, before any work is done for it.

    Raises:
      ValueError: a folder is there in place of a file, or a file in place of a folder.
    """
    path = pathlib.Path(path).expanduser()
    if folder:
        for part in (path, *path.parents):
            if part.exists() and not part.is_dir():
                raise ValueError(
                    f"{flag}={path} must be a folder, and {part} is a file"
                )
    elif path.is_dir():
        raise ValueError(f"{flag}={path} must be a file, and is a folder")
    else:
        check_out(flag, path.parent, folder=True)


def imported() -> None:
    """Makes Ctrl-C a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def expand_home(argument: str) -> str:
    """Expands `--name=~/x` as a shell does `~/x` alone."""
    name, equals, value = argument.partition("=")
    if argument.startswith("-") and equals and value.startswith("~"):
        return f"{name}={os.path.expanduser(value)}"
    return argument


def program() -> str:
    """Returns the command's name: `vidshift train`."""
    return " ".join(["vidshift", *sys.argv[1:2]])


def fail(reason: str | BaseException) -> NoReturn:
    """Writes one line and ends the process with code 2.

    It ends at once: what libraries say as they are shut down would stand below the line,
    and a process that others wait for must not wait for them.
    """
    sys.stdout.flush()
    print(f"{program()}: error: {as_line(reason)}", file=sys.stderr, flush=True)
    os._exit(2)


def as_line(error: str | BaseException) -> str:
    """Returns an error in one line, with what to install where an import failed."""
    if is_disk_error(error):
        place = f" ({error.filename})" if error.filename else ""
        return f"cannot write: {error.strerror}{place}; free some space and start again"
    text = " ".join(str(error).split())
    if "os_error_code='28'" in text:  # from TensorStore, which Orbax writes with
        return f"cannot write: No space left on device ({text})"
    if isinstance(error, ImportError):
        text += " (`pip install vidshift`, in a clone `pip install -e .`, repairs it)"
    return text or type(error).__name__


def is_disk_error(error) -> bool:
    """Returns whether a file could not be written for want of space or permission."""
    return isinstance(error, OSError) and error.errno in DISK


def _uncaught(kind, error, trace) -> None:
    in_main = threading.current_thread() is threading.main_thread()
    if os.environ.get("VIDSHIFT_TRACEBACK") or not in_main:
        return sys.__excepthook__(kind, error, trace)
    if isinstance(error, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    if isinstance(error, EXPECTED):
        fail(error)
    sys.__excepthook__(kind, error, trace)


def _uncaught_in_a_thread(given) -> None:
    """Shows errors but a full disk, which the main thread meets too and says."""
    if os.environ.get("VIDSHIFT_TRACEBACK") or not is_disk_error(given.exc_value):
        threading.__excepthook__(given)
