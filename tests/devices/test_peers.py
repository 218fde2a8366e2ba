"""Processes that train together: they meet, and learn when one of them has gone."""

import contextlib
import socket
import threading
import time

import pytest

from tests.programs.test_train_devices import free_port
from vidshift.devices import peers
from vidshift.devices.peers import Peers, Relay


class OneOf(Peers):
    """A process's part in a thread; `lines` has how the process would have ended."""

    def __init__(self, count, index):
        self.lines, self.beats = [], True
        super().__init__(count, index)

    def _tell(self, line, **but):
        if line != "beat" or self.beats:
            super()._tell(line, **but)

    def _exit(self, text, code):
        self.lines.append(text)
        self.vanish()

    def vanish(self):
        self._leaving = True  # it does not hear of itself
        for link in self._links.values():
            with contextlib.suppress(OSError):  # the other has closed it
                link.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    monkeypatch.setattr(peers, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(peers, "SILENCE_SECONDS", 1)
    monkeypatch.setattr(peers, "OWN_ERROR_SECONDS", 0.1)


def until(condition):
    limit = time.monotonic() + 10
    while not condition() and time.monotonic() < limit:
        time.sleep(0.01)
    assert condition()


def meet(count):
    """-> processes that have met."""
    port = free_port()
    made = [OneOf(count, index) for index in range(count)]
    ports = {}

    def visit(index):
        ports[index] = made[index].visit(("localhost", port), 10)

    for index in range(1, count):
        threading.Thread(target=visit, args=[index], daemon=True).start()
    ports[0] = made[0].gather(port, 10)
    until(lambda: len(ports) == count)
    assert len(set(ports.values())) == 1
    return made


@pytest.mark.parametrize("gone", [0, 1])
def test_a_closed_connection_ends_all_others(gone):
    made = meet(3)
    others = [made[i] for i in range(3) if i != gone]
    made[gone].vanish()
    until(lambda: all(process.lines for process in others))
    line = f"process {gone} of 3 went away (its connection closed)"
    assert [process.lines for process in others] == [[line], [line]]


@pytest.mark.parametrize("gone", [0, 1])
@pytest.mark.slow(but=("0",))
def test_silence_ends_the_others(gone):
    made = meet(2)
    time.sleep(1.5)
    assert not made[0].lines and not made[1].lines  # they hear each other
    made[gone].beats = False
    other = made[1 - gone]
    until(lambda: other.lines)
    line = f"process {gone} of 2 went away (nothing came from it for 1 s)"
    assert other.lines == [line]


@pytest.mark.parametrize("failed", [0, 1])
def test_an_error_of_one_ends_all_others(failed):
    made = meet(3)
    others = [made[i] for i in range(3) if i != failed]
    made[failed].fail(ValueError("of its own"))
    until(lambda: all(process.lines for process in others))
    line = (
        f"process {failed} of 3 was interrupted or had an error, which it says itself"
    )
    assert [process.lines for process in others] == [[line], [line]]


def test_an_error_of_all_is_said_by_each():
    made = meet(2)
    for process in made:
        process.fail(ValueError("the same in all"))
    made[0].vanish()
    time.sleep(0.3)
    assert not made[0].lines and not made[1].lines


def test_who_is_missing_is_said_by_all():
    port = free_port()
    first, third = OneOf(4, 0), OneOf(4, 2)
    visit = threading.Thread(
        target=third.visit, args=[("localhost", port), 10], daemon=True
    )
    visit.start()
    reason = r"did not meet within 1 s \(.*\): of 4, process 1, 3 did not come"
    with pytest.raises(RuntimeError, match=reason) as error:
        first.gather(port, 1)
    until(lambda: third.lines)
    assert third.lines == [str(error.value)]


def test_nobody_answers():
    reason = "did not meet within 0.1 s .* process 0 does not answer at localhost:"
    with pytest.raises(RuntimeError, match=reason):
        OneOf(2, 1).visit(("localhost", free_port()), 0.1)


def test_who_does_not_belong_is_told_and_the_others_meet():
    port = free_port()
    first, second = OneOf(2, 0), OneOf(2, 1)
    met = threading.Thread(target=first.gather, args=[port, 30], daemon=True)
    met.start()
    until(lambda: not refused("localhost", port))
    stranger = socket.create_connection(("localhost", port))
    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    for_three, sixth = OneOf(3, 1), OneOf(2, 5)
    for other in (for_three, sixth):
        threading.Thread(
            target=other.visit, args=[("localhost", port), 10], daemon=True
        ).start()
    until(lambda: for_three.lines and sixth.lines)
    wrong = "the processes cannot meet: "
    assert for_three.lines == [f"{wrong}num_processes=3 here, 2 in process 0"]
    assert sixth.lines == [f"{wrong}process_id=5 is none of 2, or is there already"]
    assert second.visit(("localhost", port), 10)
    met.join(10)
    assert stranger.recv(10) == b""


def refused(*address):
    try:
        socket.create_connection(address).close()
    except OSError:
        return True
    return False


def test_a_relay_keeps_jax_from_seeing_that_process_0_has_gone():
    closed = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        relay = Relay(door.getsockname(), lambda: closed.append(True))
        near = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(2)]
        far = [door.accept()[0] for _ in near]
    for here, there in zip(near, far, strict=True):
        here.sendall(b"from JAX")
        assert there.recv(100) == b"from JAX"
        there.sendall(b"to JAX")
        assert here.recv(100) == b"to JAX"
    near[0].close()  # JAX itself is done with it
    assert far[0].recv(100) == b""
    time.sleep(0.1)
    assert not closed
    far[1].close()
    until(lambda: closed)
    near[1].settimeout(0.2)
    with pytest.raises(TimeoutError):  # and not b"", its end
        near[1].recv(100)


@pytest.mark.parametrize("address", ["somewhere", ":1234", "somewhere:port", "a:99999"])
def test_an_address_that_is_none(address):
    with pytest.raises(ValueError, match="distributed.coordinator must be host:port"):
        peers.join(address, 2, 1, 1)


def test_an_index_that_is_none():
    with pytest.raises(ValueError, match="distributed.process_id=2 is not one of 2"):
        peers.join("localhost:1234", 2, 2, 1)
