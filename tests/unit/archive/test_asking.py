"""Asking an archive: when to ask again, how long to wait, whom to follow."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate

import pytest
import requests
from hostile_server import HostileServer, chunked, give, page, running, status

from cryosamu.archive.client import RefusalError
from cryosamu.archive.redirects import ElsewhereError, redirect_target, trusted_origins
from cryosamu.config import ArchiveSettings
from cryosamu.errors import ArchiveError

HERE = "https://host/a"
ANSWER = page('{"answer": 1}', "application/json")


@pytest.fixture
def ask(hostile, client_for):
    """Return a function that asks for JSON that comes with these behaviours."""

    def run(*behaviours, **changes):
        hostile.behaviours["host/a"] = list(behaviours)
        return client_for(hostile.url, **changes).json(HERE)

    return run


@pytest.mark.parametrize(
    "passing",
    [
        status(500),
        status(502),
        status(429, Retry_After="0"),
        status(503, Retry_After="soon"),
        page("<!DOCTYPE html>\n<p>Down</p>"),
        page('{"answer": 1, "more'),
        give(b'{"answer": 1}', cut=5),
        give(b'{"answer": 1}', claimed=5),
        give(b"\xff\xfe\x00{"),
        give(b""),
        chunked(b'{"answer": 1}', whole=False),
        lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
        lambda handler: handler.wfile.write(b"\x00\x01\x02 no HTTP at all\r\n\r\n"),
    ],
)
def test_what_may_pass_is_asked_again(ask, passing):
    assert ask(passing, passing, ANSWER) == {"answer": 1}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (page("<!DOCTYPE html>\n<p>Down</p>"), "the answer is not JSON.*'<!DOCTYPE html> <p>Down"),
        (give(b"\xff\xfe\x00{"), "the answer is not text in UTF-8"),
        (give(b'{"answer": 1}', cut=5), "always breaks off"),
        (give(b""), "the answer is empty"),
        (status(500), r"answers 500 \(Internal Server Error\) after 3 tries"),
    ],
)
def test_what_does_not_pass_is_an_outage(ask, hostile, fault, sentence):
    with pytest.raises(ArchiveError, match=f"host/a:? .*{sentence}.*run again later") as caught:
        ask(fault)
    assert not isinstance(caught.value, RefusalError)
    assert len(hostile.requests) == 3


def test_a_posted_question_is_asked_again_too(hostile, client_for):
    hostile.behaviours["host/a"] = [status(502), ANSWER]
    assert client_for(hostile.url).json(HERE, {"question": 1}) == {"answer": 1}


def test_an_answer_that_trickles_is_given_up(ask):
    slow = give(b'{"answer": ' + b" " * 4000 + b"1}", piece=10, delay=0.02)
    began = time.monotonic()
    with pytest.raises(ArchiveError, match="bytes a second"):
        ask(slow, retries=1, timeout_seconds=0.2)
    assert time.monotonic() - began < 4


def test_an_endless_answer_is_given_up(ask, monkeypatch):
    monkeypatch.setattr("cryosamu.archive.client._LARGEST_ANSWER_BYTES", 10_000)
    with pytest.raises(RefusalError, match="longer than 10000 bytes"):
        ask(chunked(b" " * 20_000, whole=False))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_in_both_forms(ask, form):
    when = "2" if form == "seconds" else formatdate(time.time() + 2.5, usegmt=True)
    began = time.monotonic()
    ask(status(429, Retry_After=when), ANSWER)
    assert 1.4 <= time.monotonic() - began < 6


def test_nobody_waits_for_hours(ask, monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    ask(status(503, Retry_After="86400"), ANSWER)
    assert max(waited) == 300


def moved(target, code=302):
    return status(code, Location=target)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_archive_is_followed(ask, hostile, code):
    hostile.behaviours["host/b"] = [ANSWER]
    assert ask(moved(f"{hostile.url}/host/b", code)) == {"answer": 1}
    assert ask(moved("/host/b", code)) == {"answer": 1}


def test_a_redirect_elsewhere_is_refused_and_not_asked(ask, hostile):
    with running(HostileServer()) as elsewhere:
        elsewhere.behaviours["host/a"] = [ANSWER]
        target = f"{elsewhere.url}/host/a"
        with pytest.raises(RefusalError, match=f"{HERE}: redirects to {target}, which is none"):
            ask(moved(target))
        assert elsewhere.requests == []


def test_redirects_that_lead_in_a_circle_end(ask, hostile):
    with pytest.raises(RefusalError, match="redirects more than 5 times"):
        ask(moved("/host/a"))
    assert len(hostile.requests) == 6


def test_what_a_redirect_says_beside_its_address_is_not_read(ask, hostile):
    def endless(handler):
        handler.head(302, {"Location": "/host/b", "Content-Length": "100"})

    hostile.behaviours["host/b"] = [ANSWER]
    began = time.monotonic()
    assert ask(endless) == {"answer": 1}
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "target", ["ftp://host/a", "file:///etc/passwd", "http://[::1", "https://"]
)
def test_a_redirect_to_no_address_is_refused(ask, target):
    with pytest.raises(RefusalError, match="redirects to"):
        ask(moved(target))


@pytest.mark.parametrize(
    ("target", "followed"),
    [
        ("https://files.rcsb.org/elsewhere/5NI1.cif.gz", True),
        ("https://ftp.pdbj.org:443/x", True),
        ("https://FTP.PDBJ.ORG/x", True),
        ("http://files.rcsb.org/download/5NI1.cif.gz", False),
        ("https://files.rcsb.org:8443/x", False),
        ("https://rcsb.org/x", False),
        ("https://files.rcsb.org.evil.example/x", False),
        ("https://files.rcsb.org@evil.example/x", False),
        ("//evil.example/x", False),
        (r"https://evil.example\@files.rcsb.org/x", False),
    ],
)
def test_only_configured_archives_are_followed(target, followed):
    response = requests.Response()
    response.status_code, response.url = 302, "https://files.rcsb.org/download/5NI1.cif.gz"
    response.headers["Location"] = target
    trusted = trusted_origins(ArchiveSettings())
    if followed:
        assert redirect_target(response, trusted) == target
    else:
        with pytest.raises(ElsewhereError):
            redirect_target(response, trusted)


def test_a_mirror_root_is_the_only_archive_and_may_move_to_https():
    trusted = trusted_origins(ArchiveSettings(mirror_root="http://mirror.example/pub"))
    assert trusted == {("http", "mirror.example", 80)}
