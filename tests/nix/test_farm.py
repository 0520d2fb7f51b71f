"""What the build farm says of fallbacks: pages as Hydra makes them, on a server of the test's own, and one that is not there."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clanpy.cli.program import app
from clanpy.nix.farm import Verdict, ask_farm


Serve = Callable[[str, str, int], str]
ICON = '<td><img src="/static/x.svg" height="16" width="16" title="{0}" alt="{0}" class="build-status" /></td>'


def page(*titles: str) -> str:
    return f'<img src="logo.svg" title="Hydra" />\n{"".join(ICON.format(title) for title in titles)}'


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Puts a page on a server of loopback; gives its link."""
    pages: dict[str, tuple[str, str, int]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, text, status = pages[self.path]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def put(text: str, kind: str = "text/html; charset=utf-8", status: int = 200) -> str:
            path = f"/job/nixpkgs/trunk/p{len(pages)}"
            pages[path] = (kind, text, status)
            return f"http://127.0.0.1:{server.server_port}{path}"

        try:
            yield put
        finally:
            server.shutdown()
            thread.join()


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/job/nixpkgs/trunk/d2"


@pytest.mark.parametrize(
    ("sent", "verdict", "said"),
    [
        ((page("Succeeded", "Failed"), "text/html", 200), Verdict.SUCCEEDS, "Succeeded"),
        ((page("Dependency failed", "Succeeded"), "text/html", 200), Verdict.FAILS, "Dependency failed"),
        ((page("Queued", "Failed"), "text/html", 200), Verdict.FAILS, "Failed"),
        ((page("Queued"), "text/html", 200), Verdict.UNCLEAR, "shows no build that has ended"),
        (("<h1>hello</h1>", "text/html", 200), Verdict.UNCLEAR, "shows no build that has ended"),
        (('{"finished": 1, "buildstatus": 0}', "application/json", 200), Verdict.SUCCEEDS, "Succeeded"),
        (('[{"finished": 0}, {"finished": 1, "buildstatus": 2}]', "application/json", 200), Verdict.FAILS, "status 2"),
        (("{", "application/json", 200), Verdict.UNCLEAR, "no JSON"),
        (("", "text/html", 404), Verdict.UNCLEAR, "404"),
    ],
)
def test_a_page_says_how_the_last_build_went_that_has_ended(
    serve: Serve, sent: tuple[str, str, int], verdict: Verdict, said: str
) -> None:
    link = serve(*sent)
    answer = ask_farm([link])[link]
    assert (answer.verdict, said in answer.said) == (verdict, True), answer


def test_a_farm_that_is_not_there_and_a_link_that_is_none_say_so() -> None:
    link = closed_port()
    answers = ask_farm([link, "file:///etc/passwd"])
    assert (answers[link].verdict, answers[link].said) == (Verdict.SILENT, "connection refused")
    assert answers["file:///etc/passwd"].verdict is Verdict.UNCLEAR


RECORD = """
[[nixpkgs.fallbacks]]
package = "{}"
platforms = ["aarch64-darwin"]
hydra = "{}"
reason = "does not link"
remove_when = "the job is green"
added = "2026-05-01"
"""


def review(root: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["--fleet", str(root), "packages", "fallbacks", "review", *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_records_are_looked_at_and_one_that_can_go_is_told(tmp_path: Path, serve: Serve) -> None:
    links = {
        "d2": serve(page("Succeeded"), "text/html", 200),
        "tree": serve(page("Failed"), "text/html", 200),
        "hello": closed_port(),
    }
    records = "".join(RECORD.format(name, link) for name, link in links.items())
    text = f'[meta]\nname = "x"\n\n[nixpkgs.channels.stable]\ninput = "nixpkgs-stable"\n{records}'
    (tmp_path / "inventory.toml").write_text(text)
    found = {row["package"]: row["job"] for row in json.loads(review(tmp_path, "--json"))["fallbacks"]}
    assert found == {"d2": "succeeds", "tree": "fails", "hello": "unreachable"}
    said = review(tmp_path)
    assert "the job of d2 succeeds again: clanpy packages fallbacks drop d2" in said
    assert "the build farm could not be asked about hello" in said
    assert "could not be asked" not in review(tmp_path, "d2")
