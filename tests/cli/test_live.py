"""Commands that show a run while it is running: `status --watch` and `dashboard`."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import ir2search as ir

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_watching_a_run_that_has_ended_shows_it_once(
    ir2search: Command, finished_run: Path
) -> None:
    done = ir2search("status", finished_run, "--watch", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ir.status(finished_run).as_dict()
    ]


def test_the_dashboard_shows_the_run_and_ends_with_ctrl_c(finished_run: Path) -> None:
    code = (
        "import signal, sys; from ir2search.cli.app import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
        "sys.argv = ['ir2search', 'dashboard', sys.argv[1], '--port', '0', '--json']; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(finished_run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            assert url.startswith("http://127.0.0.1:")
            port = urllib.parse.urlsplit(url).port
            with socket.create_connection(("127.0.0.1", port)):  # a client that sends no request
                with urllib.request.urlopen(url.replace("/dashboard/", "/api/studies")) as answer:
                    studies = json.load(answer)["study_summaries"]
                server.send_signal(signal.SIGINT)
                _, said = server.communicate(timeout=30)
        finally:
            server.kill()
    assert [study["study_name"] for study in studies] == ["quick"]
    assert server.returncode == 130
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_named(ir2search: Command, finished_run: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = ir2search("dashboard", finished_run, "--port", port)
    assert done.returncode == 2
    assert f"port {port}: not available" in done.stderr
