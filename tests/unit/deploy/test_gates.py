"""One question to a server that behaves badly, and the relays that carry it. Real sockets."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcgitops.commands import serving, ssh
from mcgitops.deploy.gates import _NoAnswer, _Pipe, exchange, explained
from mcgitops.plan.gates import LARGEST, Answer, Request

ASKED = Request(80, "/v2/models/wine/infer", b'{"x": 1}')
Serve = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server for one connection after the other; gives its port."""
    servers: list[socket.socket] = []

    def start(answer: Callable[[socket.socket], None]) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        heard = connection.recv(65536)
                        while b'{"x": 1}' not in heard:
                            heard += connection.recv(65536)
                        answer(connection)
                    except OSError:
                        continue

        threading.Thread(target=run, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in servers:
        server.close()


def ask(
    port: int, seconds: float = 30, stopped: Callable[[], bool] = lambda: False
) -> Answer | str:
    with socket.create_connection(("127.0.0.1", port)) as connected:
        try:
            return exchange(connected, ASKED, seconds, stopped)
        except _NoAnswer as error:
            return str(error)


def says(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def test_an_answer_is_read_whether_or_not_it_says_how_long_it_is(serve: Serve) -> None:
    for head in (b"Content-Length: 2\r\n", b""):
        assert ask(serve(says(b"HTTP/1.1 201 Created\r\n" + head + b"\r\n{}"))) == Answer(
            201, b"{}"
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "the connection ended without an answer"),
        (b"SSH-2.0-x\r\n", "the answer is not HTTP (SSH-2.0-x"),
        (b"\x1b[2J\n" * 3, r"the answer is not HTTP (\x1b[2J"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            "the connection ended in the middle of the answer",
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", "the answer is not HTTP (got more"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "the answer is not HTTP ("),
        (b"HTTP/1.1 -1 OK\r\n\r\n", "the answer is not HTTP ("),
    ],
)
def test_what_is_not_an_answer_is_told_in_one_line(serve: Serve, text: bytes, said: str) -> None:
    told = ask(serve(says(text)))
    assert isinstance(told, str)
    assert told.startswith(said)
    assert told.isprintable()
    assert len(told) < 150


def test_an_answer_without_end_is_cut(serve: Serve) -> None:
    told = ask(serve(endless))
    assert isinstance(told, Answer)
    assert (len(told.body), told.complete) == (LARGEST, False)


def test_an_answer_that_trickles_is_given_up(serve: Serve) -> None:
    assert ask(serve(trickle), seconds=0.5) == "no answer within 0 s"


def test_whoever_waits_for_an_answer_can_stop_waiting(serve: Serve) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert ask(serve(trickle), 600, stop.is_set) == "no answer within 600 s"


@pytest.fixture(params=["bash", "python3"])
def only(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH with one program that can relay."""
    for program in {"sh", "cat", "sleep", str(request.param)}:
        found = shutil.which(program, path="/usr/bin:/bin:/usr/local/bin")
        assert found, program
        (tmp_path / program).symlink_to(found)
    return str(tmp_path)


def through(port: int, path: str, folder: Path) -> Answer:
    argv = ("env", f"PATH={path}", *serving.relay("127.0.0.1", port))
    with _Pipe(argv, folder) as pipe:
        try:
            return exchange(pipe.connected, ASKED, 20, lambda: False)
        except _NoAnswer as error:
            raise explained(f"{error}\n{pipe.last_words()}", error, port) from None


def test_a_relay_carries_question_and_answer(serve: Serve, only: str, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"\x00\xff\r\n" * 50_000
    assert through(serve(says(answer)), only, tmp_path).body == b"\x00\xff\r\n" * 50_000


def test_a_relay_tells_that_nobody_listens(only: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(_NoAnswer, match=f"nothing listens on port {port}") as raised:
        through(port, only, tmp_path)
    assert raised.value.kind == "closed"


def test_where_nothing_can_relay_another_way_is_needed(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    with pytest.raises(_NoAnswer) as raised:
        through(1, str(tmp_path), tmp_path)
    assert raised.value.kind == "useless"


def test_a_relay_ends_with_whoever_asks(serve: Serve, only: str, tmp_path: Path) -> None:
    ended = threading.Event()

    def hang(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass
        ended.set()

    argv = ("env", f"PATH={only}", *serving.relay("127.0.0.1", serve(hang)))
    # as behind ssh and docker exec: its input ends, but nobody kills it
    relay = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert relay.stdin is not None
    relay.stdin.write(b'{"x": 1}')
    relay.stdin.close()
    assert relay.wait(20) is not None
    assert ended.wait(20)
    assert relay.stdout is not None
    relay.stdout.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Stdio forwarding request failed: Session open refused by peer", "unsaid"),
        ("channel 0: open failed: administratively prohibited: open failed", "useless"),
        ("channel 0: open failed: connect failed: Connection refused", "closed"),
        ("channel 0: open failed: connect failed: No route to host", "elsewhere"),
        ("channel 0: open failed: connect failed: Connection timed out", "elsewhere"),
        ('OCI runtime exec failed: exec failed: exec: "sh": not found', "useless"),
        ("nc: can't connect to remote host (127.0.0.1): Connection refused", "closed"),
        ("", "closed"),
    ],
)
def test_what_ssh_and_docker_say_decides_which_way_is_next(said: str, kind: str) -> None:
    assert explained(said, _NoAnswer("the connection ended without an answer"), 80).kind == kind


def test_a_connection_over_ssh_is_one_command() -> None:
    options = ssh.SshOptions(known_hosts="/k", control_path="/c")
    plain = ssh.forward("ssh://deploy@a.example.com:2222", "172.18.0.3", 8080, options).argv
    assert plain[-6:] == ("-p", "2222", "-W", "172.18.0.3:8080", "--", "deploy@a.example.com")
    assert ssh.forward("ssh://a", "fd00::2", 80).argv[-3:] == ("[fd00::2]:80", "--", "a")
    aloud = ssh.forward("ssh://a", "172.18.0.3", 80, options, aloud=True).argv
    # ssh takes the first of two options of the same name
    assert aloud.index("ControlPath=none") < aloud.index("ControlPath=/c")
    assert aloud.index("LogLevel=INFO") < aloud.index("LogLevel=ERROR")
