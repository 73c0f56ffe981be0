"""Commands that show a run while it is running: `status --watch` and `dashboard`."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from background import Background, wait_for

import ir2search as ir

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_watching_a_run_that_has_ended_shows_it_once(
    ir2search: Command, finished_run: Path
) -> None:
    done = ir2search("status", finished_run, "--watch", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ir.status(finished_run).as_dict()
    ]


def test_the_dashboard_shows_the_run_and_ends_with_ctrl_c(
    begin: Callable[..., Background], finished_run: Path
) -> None:
    server = begin("dashboard", finished_run, "--port", "0", "--json")
    wait_for(lambda: "\n" in server.shown())
    url = json.loads(server.shown())["url"]
    assert url.startswith("http://127.0.0.1:")
    port = urllib.parse.urlsplit(url).port
    with socket.create_connection(("127.0.0.1", port)):  # a client that sends no request
        with urllib.request.urlopen(url.replace("/dashboard/", "/api/studies")) as answer:
            studies = json.load(answer)["study_summaries"]
        server.send_signal(signal.SIGINT)
        done = server.ended()
    assert [study["study_name"] for study in studies] == ["quick"]
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(ir2search: Command, finished_run: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = ir2search("dashboard", finished_run, "--port", port)
    assert done.returncode == 2
    assert f"port {port}: not available" in done.stderr
