"""Watches a video or a camera, or counts streams: `vidshift stream`."""

import argparse
import signal
import threading
from collections.abc import Callable

from vidshift.command_line import errors
from vidshift.command_line.stop import StopRequest
from vidshift.stream import capacity, session, sources


def main(options: argparse.Namespace, *, camera: Callable = sources.camera) -> int:
    _check(options)
    if options.capacity:
        return capacity.main(options)
    return _stopped(
        lambda stop: session.stream(
            options, open_source=session.source_of(options, camera), stop=stop
        ),
        quiet=options.video is None,
    )


def _stopped(run: Callable[[Callable[[], bool]], int], *, quiet: bool) -> int:
    """Runs until SIGINT or SIGTERM, which `quiet` takes for the usual end."""
    if threading.current_thread() is not threading.main_thread():
        return run(lambda: False)
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    request = StopRequest()
    try:
        code = run(lambda: bool(request))
        return request.exit_code if request and not (quiet or code) else code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(options) -> None:
    if options.out:
        errors.check_out("--out", options.out, folder=False)
    if options.capacity:
        if (options.run is None) == (options.network is None):
            raise ValueError("--capacity takes --run or --network")
        return
    if options.run is None:
        raise ValueError("--run says which run watches")
    if (options.video is None) == (options.camera is None):
        raise ValueError("give --video or --camera")
    if options.camera is not None:
        if options.pace == "none":
            raise ValueError("--pace is a video's: a camera has its own")
        options.pace = "camera"
    options.pace = options.pace or "none"
    if options.out and options.out == options.video:
        raise ValueError("--out is the video itself")
