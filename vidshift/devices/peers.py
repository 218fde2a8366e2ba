"""Processes that train together end together: what each knows of the others.

Left to itself, JAX notices after minutes that a process has gone, or aborts with a C++
stack. Here every process keeps a connection to process 0. A closed one tells at once that
a process has gone, silence tells it of a machine that vanished; the others then end with
one line and exit code 2.
"""

import atexit
import contextlib
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import jax

from vidshift.command_line import errors

BEAT_SECONDS = 3
# After so long without a word a process counts as gone.
SILENCE_SECONDS = 20
# For a process that was told of another's error to end by itself, with its own line.
OWN_ERROR_SECONDS = 4
# For a process with an error to close its files.
CLOSING_SECONDS = 12

# What this process joined; None while it trains alone.
_joined: "Peers | None" = None


def join(
    address: str, count: int, index: int, timeout_seconds: float, **for_jax
) -> None:
    """Meets the other processes, starts JAX with them, and watches them from then on.

    Args:
      address: `host:port` where process 0 is.
      for_jax: further arguments of `jax.distributed.initialize`.

    Raises:
      ValueError: no such address or index.
      RuntimeError: they cannot meet; the line says who is missing.
    """
    global _joined
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"distributed.coordinator must be host:port, got {address!r}")
    if not 0 <= index < count:
        raise ValueError(f"distributed.process_id={index} is not one of {count}")
    peers = Peers(count, index)
    _joined = peers
    until = time.monotonic() + timeout_seconds
    if index == 0:
        jax_port = peers.gather(int(port), timeout_seconds)
        for_jax["coordinator_address"] = f"127.0.0.1:{jax_port}"
        for_jax["coordinator_bind_address"] = f"[::]:{jax_port}"
    else:
        host = host.strip("[]")
        jax_port = peers.visit((host, int(port)), timeout_seconds)
        relay = Relay((host, jax_port), peers.jax_was_closed)
        for_jax["coordinator_address"] = f"127.0.0.1:{relay.port}"
    # Where a proxy is set, gRPC would ask it for a connection to this very machine.
    os.environ["no_proxy"] = os.environ.get("no_proxy", "") + ",127.0.0.1"
    # JAX would abort with a stack when its own time is up, so ours comes first.
    late = threading.Timer(
        max(until - time.monotonic(), SILENCE_SECONDS),
        peers.end,
        [f"JAX's connections do not come about; process 0 has them at port {jax_port}"],
    )
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(
            num_processes=count,
            process_id=index,
            initialization_timeout=round(timeout_seconds) + 10 * SILENCE_SECONDS,
            **for_jax,
        )
    finally:
        late.cancel()
    # After JAX's own, so before it: functions at exit run in reverse.
    atexit.register(peers.leave)


@contextlib.contextmanager
def ending_together():
    """Tells the other processes when this one ends with an error."""
    try:
        yield
    except BaseException as error:
        if _joined:
            _joined.fail(error)
        raise


class Peers:
    """The other processes as one of them sees them: process 0 all, the rest process 0.

    They speak in lines: "beat" (still here), "bye" (done, in order), "failed I" (process
    I has an error of its own), "end TEXT" (end with this line).
    """

    def __init__(self, count: int, index: int):
        self._count, self._index = count, index
        self._links: dict[int, socket.socket] = {}
        self._left: set[int] = set()
        self._failed: int | None = None
        self._leaving = False
        self._exit_code: int | None = None  # of an error of this process
        self._last_word = threading.Lock()  # never released: the process ends
        # A forked child must not keep a connection open that its parent's end closes.
        os.register_at_fork(after_in_child=self._forget)
        threading.Thread(target=self._beat, daemon=True).start()

    # ---------------------------------------------------------------- meeting
    def gather(self, port: int, timeout_seconds: float) -> int:
        """Waits for the other processes; returns a free port for JAX."""
        until = time.monotonic() + timeout_seconds
        with _listen_everywhere(port) as door:
            door.settimeout(0.2)
            while self._missing():
                if time.monotonic() > until:
                    missing = ", ".join(map(str, self._missing()))
                    reason = (
                        f"the processes did not meet within {timeout_seconds} s "
                        f"(distributed.timeout_seconds): of {self._count}, "
                        f"process {missing} did not come"
                    )
                    self._tell(f"end {reason}")
                    raise RuntimeError(reason)
                with contextlib.suppress(TimeoutError):
                    self._admit(door.accept()[0])
        jax_port = _free_port(port + 1)
        self._tell(f"jax {jax_port}")
        return jax_port

    def _missing(self) -> list[int]:
        return [i for i in range(1, self._count) if i not in self._links]

    def _admit(self, link: socket.socket) -> None:
        link.settimeout(1)
        try:
            said = re.fullmatch(r"vidshift (\d+) of (\d+)", next(_lines(link, 5), ""))
        except TimeoutError:
            said = None
        if not said:  # no process of ours
            return link.close()
        index, count = map(int, said.groups())
        reason = ""
        if count != self._count:
            reason = f"num_processes={count} here, {self._count} in process 0"
        elif index not in self._missing():
            reason = f"process_id={index} is none of {count}, or is there already"
        if reason:
            _send(link, f"end the processes cannot meet: {reason}")
            return link.close()
        self._add(index, link)

    def visit(self, address: tuple[str, int], timeout_seconds: float) -> int:
        """Connects to process 0; returns JAX's port there, once all have come."""
        until = time.monotonic() + timeout_seconds
        while True:
            try:
                link = socket.create_connection(address, timeout=5)
                if link.getsockname() != link.getpeername():  # Linux may do that
                    break
                link.close()
            except OSError as error:
                if time.monotonic() > until:
                    raise RuntimeError(
                        f"the processes did not meet within {timeout_seconds} s "
                        "(distributed.timeout_seconds): process 0 does not answer at "
                        f"{address[0]}:{address[1]} ({error})"
                    ) from None
            time.sleep(0.2)
        self._jax_port: int | None = None
        self._all_here = threading.Event()
        link.settimeout(1)
        _send(link, f"vidshift {self._index} of {self._count}")
        self._add(0, link)
        self._all_here.wait()
        return self._jax_port

    def _add(self, other: int, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._links[other] = link
        threading.Thread(target=self._listen, args=[other, link], daemon=True).start()

    # --------------------------------------------------------------- watching
    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            self._tell("beat")

    def _tell(self, line: str, *, but: int | None = None) -> None:
        for other, link in list(self._links.items()):
            if other != but:
                _send(link, line)

    def _listen(self, other: int, link: socket.socket) -> None:
        why = "its connection closed"
        try:
            for line in _lines(link, SILENCE_SECONDS):
                word, _, rest = line.partition(" ")
                if word == "bye":
                    self._left.add(other)
                elif word == "jax":
                    self._jax_port = int(rest)
                    self._all_here.set()
                elif word == "failed":
                    self._tell(line, but=other)
                    self._note_failure(int(rest))
                elif word == "end":
                    self.end(rest)
        except TimeoutError:
            why = f"nothing came from it for {SILENCE_SECONDS} s"
        self._lose(other, why)

    def _lose(self, other: int, why: str) -> None:
        expected = self._failed is not None or self._exit_code is not None
        if expected or self._leaving or other in self._left:
            self._left.add(other)
            return
        text = f"process {other} of {self._count} went away ({why})"
        self.end(text, tell_all_but=other)

    def jax_was_closed(self) -> None:
        """Process 0 closed JAX's connection; if it lives, its own one tells why."""
        time.sleep(OWN_ERROR_SECONDS)
        self._lose(0, "JAX's connection to it closed")

    def _note_failure(self, index: int) -> None:
        self._failed = index
        own = threading.Timer(OWN_ERROR_SECONDS, self._end_with_failed)
        own.daemon = True
        own.start()

    def _end_with_failed(self) -> None:
        if self._exit_code is None:
            self.end(
                f"process {self._failed} of {self._count} was interrupted or had an "
                "error, which it says itself"
            )

    # ----------------------------------------------------------------- ending
    def end(self, text: str, *, code: int = 2, tell_all_but: int | None = None) -> None:
        """Ends the process with a line and a code, wherever its main thread is."""
        if not self._last_word.acquire(blocking=False):
            threading.Event().wait()
        if tell_all_but is not None:
            self._tell(f"end {text}", but=tell_all_but)
        self._exit(text, code)

    def _exit(self, text: str, code: int) -> None:
        os.write(2, f"{errors.program()}: error: {text}\n".encode())
        # Unread beats would make the system drop what was told to the others.
        time.sleep(0.3)
        os._exit(code)  # the main thread may wait in C++, where no exception reaches it

    def fail(self, error: BaseException) -> None:
        """Tells the others of an error, and ends the process if closing takes long."""
        if isinstance(error, jax.errors.JaxRuntimeError):
            # So ends a sum over processes of which one has gone. If so, that is known
            # by now, or as good as.
            time.sleep(1)
            if self._failed is not None:
                self._end_with_failed()
        self._exit_code = _exit_code(error)
        self._tell(f"failed {self._index}")
        reason = " ".join(str(error).split())
        if isinstance(error, KeyboardInterrupt):
            reason = "interrupted"
        late = threading.Timer(
            CLOSING_SECONDS, self.end, [reason], {"code": self._exit_code}
        )
        late.daemon = True
        late.start()

    def leave(self) -> None:
        """Leaves in order: with all the others, or at once after an error."""
        if self._exit_code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            time.sleep(0.3)  # as in `end`
            # JAX would wait for the others, and abort.
            os._exit(self._exit_code)
        jax.distributed.shutdown()  # waits for all
        self._leaving = True
        self._tell("bye")
        until = time.monotonic() + OWN_ERROR_SECONDS
        while self._links.keys() - self._left and time.monotonic() < until:
            time.sleep(0.01)

    def _forget(self) -> None:
        for link in self._links.values():
            link.close()
        self._links = {}


class Relay:
    """Stands between this process's JAX and process 0, bytes in and bytes out.

    JAX aborts the moment that process 0 closes their connection. This one stays open.

    Args:
      address: where JAX listens in process 0.
      closed: called when process 0 closed a connection that JAX still uses.
    """

    def __init__(self, address: tuple[str, int], closed: Callable[[], None]):
        self._address, self._closed = address, closed
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            near = self._door.accept()[0]
            try:
                far = socket.create_connection(self._address, timeout=5)
            except OSError:
                near.close()  # JAX tries again
                continue
            far.settimeout(None)
            ended = threading.Event()
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pair = (source, sink, source is near, ended)
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, sink, outwards: bool, ended: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        if outwards:  # JAX is done
            ended.set()
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
        elif not ended.is_set():
            self._closed()


def _listen_everywhere(port: int) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True
            )
        return socket.create_server(("", port))
    except OSError as error:
        raise RuntimeError(
            f"process 0 cannot listen at port {port} (distributed.coordinator): {error}"
        ) from None


def _free_port(wanted: int) -> int:
    """Returns the port wanted, which a firewall can let through, or any free one."""
    try:
        probe = socket.create_server(("", wanted))
    except (OSError, OverflowError):
        probe = socket.create_server(("", 0))
    with probe:
        return probe.getsockname()[1]


def _send(link: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # who listens to it knows that it has gone
        link.sendall(f"{line}\n".encode())


def _lines(link: socket.socket, silence_seconds: int) -> Iterator[str]:
    """Yields the lines that come, until the connection closes.

    Raises:
      TimeoutError: nothing came for so long. Only time in which this process itself ran
        is counted: both may have been paused.
    """
    rest, silent = b"", 0
    while silent < silence_seconds:
        try:
            data = link.recv(4096)
        except TimeoutError:  # after a second
            silent += 1
            continue
        except OSError:
            return
        if not data:
            return
        silent = 0
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > 4096:
            return
        for line in lines:
            yield line.decode(errors="replace")
    raise TimeoutError


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return 130 if isinstance(error, KeyboardInterrupt) else 2
