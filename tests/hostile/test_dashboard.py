"""What pages of other sites may ask of the dashboard."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

STUDIES = "/api/studies"


pytestmark = pytest.mark.xdist_group("dashboard")  # its fixtures are made once


@pytest.fixture(scope="module")
def port(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a dashboard on a copy of a run."""
    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("served") / "quick")
    command = ["dashboard", str(folder), "--port", "0", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "ir2search", *command], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield int(json.loads(server.stdout.readline())["url"].split(":")[2].split("/")[0])
        finally:
            server.kill()


def ask(port: int, method: str, **headers: str) -> int:
    """The status of the answer; ``{}`` in a header is the dashboard's port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    place = STUDIES if method in ("GET", "HEAD", "POST") else f"{STUDIES}/9"
    sent = {key: value.format(port) for key, value in headers.items()}
    connection.request(method, place, headers=sent)
    status = connection.getresponse().status
    connection.close()
    return status


HOSTS = {
    "127.0.0.1:{}": True,
    "localhost:{}": True,
    "LOCALHOST:9000": True,  # another port, by a tunnel
    "[::1]:{}": True,
    "attacker.example:{}": False,
    "127.0.0.1.attacker.example": False,
    "localhost.attacker.example:{}": False,
    "attacker.example@127.0.0.1:{}": False,
    "192.0.2.1:{}": False,
    "[": False,
    "": False,
}


@pytest.mark.parametrize("host", HOSTS)
def test_only_this_machine_may_be_the_host(port: int, host: str) -> None:
    assert (ask(port, "GET", Host=host) == 200) == HOSTS[host]


ORIGINS = {
    "http://127.0.0.1:{}": True,
    "http://attacker.example": False,
    "http://127.0.0.1:1": False,
    "http://localhost:{}": False,  # another origin than that of the host below
    "null": False,
    "": False,
}


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_page_of_another_origin_changes_nothing(port: int, method: str, origin: str) -> None:
    status = ask(port, method, Host="127.0.0.1:{}", Origin=origin)
    assert (status != 403) == ORIGINS[origin]


def test_a_page_of_another_origin_may_read_as_the_browser_keeps_the_answer_from_it(
    port: int,
) -> None:
    assert ask(port, "GET", Origin="http://attacker.example") == 200
    assert ask(port, "DELETE") == 404, "without a browser there is no origin"
