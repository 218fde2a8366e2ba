"""Starts programs in processes of their own that need not import everything again.

A server imports vidshift.train and vidshift.eval, and forks for each program. It has
not begun to use JAX, so that a fork is as good as a new process.
`commands.start_program` with `alone=True` starts a new one, as a user does.
"""

import atexit
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from tests.support.files import ROOT

SERVER = """
import json, os, runpy, sys, warnings

import vidshift.train, vidshift.eval

warnings.simplefilter("ignore")  # JAX says that it should not be forked

def run(argv, env, files):
    for number, file in enumerate(files):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(env)
    code = 1
    try:
        if argv[0] == "-m":
            sys.argv = argv[1:]
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = argv
            runpy.run_path(argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # one line, of what is expected
    # As the end of a process does: its threads and its children first.
    import atexit, threading

    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


for line in sys.stdin:
    asked = json.loads(line)
    if "argv" in asked:
        answer = os.fork()
        if not answer:
            run(**asked)
    else:
        pid, answer = asked["pid"], None
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            answer = os.waitstatus_to_exitcode(status)
    print(json.dumps(answer), flush=True)
"""


@functools.cache
def _server(variables: frozenset) -> subprocess.Popen:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=ROOT,
        env=os.environ | dict(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(server.communicate)
    return server


class Forked:
    """What tests need of `subprocess.Popen`."""

    def __init__(
        self, argv: list[str], env: dict[str, str], imported_with: dict[str, str]
    ):
        self.server = _server(frozenset(imported_with.items()))
        self.folder = tempfile.TemporaryDirectory()
        names = ["stdout", "stderr"]
        self.files = [pathlib.Path(self.folder.name, name) for name in names]
        files = ["/dev/null", *map(str, self.files)]
        self.returncode = None
        self.pid = self._ask(argv=argv, env=env, files=files)

    def _ask(self, **asked):
        print(json.dumps(asked), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._ask(pid=self.pid)
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        out, err = (file.read_text() if file.exists() else "" for file in self.files)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
