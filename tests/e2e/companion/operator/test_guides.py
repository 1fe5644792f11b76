"""What docs/how-to/test-locally.md and test-with-a-provider.md have a reader type, typed."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from pathlib import Path

from tests.lab.parts.companion_seen import Companion
from tests.lab.sipp import SippRun
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import PATIENCE, wait_until

LOCALLY = (ROOT / "docs/how-to/test-locally.md").read_text(encoding="utf-8")
PROVIDER = (ROOT / "docs/how-to/test-with-a-provider.md").read_text(encoding="utf-8")
HERE, PORT = 40, 5077
"""Where SIPp is, in place of the reader's own machine; nobody else has that port."""


def line(page: str, *words: str) -> str:
    """The only command of a page in which these words are."""
    (found,) = [
        row.strip()
        for row in page.splitlines()
        if row.startswith("    ") and all(word in row for word in words)
    ]
    return found


def started(stack: Stack, scenario: str, call_id: str) -> SippRun:
    """SIPp as the page starts it, in the carrier's container, where the checkout is /repo."""
    words = shlex.split(line(LOCALLY, "sipp ", scenario))
    real = {"198.18.0.1": stack.address(HERE), "198.18.0.10": stack.edge}
    words = [real.get(word, word.replace("docs/", "/repo/docs/")) for word in words]
    more = ["-p", str(PORT), "-cid_str", call_id, "-nostdin", "-timeout", "100", "-timeout_error"]
    errors = ["-trace_err", "-error_file", f"/tmp/{call_id}.err"]  # noqa: S108  # inside the container
    return SippRun.start(stack.container("carrier"), call_id, [*words[:-1], *more, *errors, words[-1]])


def said(stack: Stack, command: str, call_id: str) -> str:
    """What a command of the page prints that is typed in one of the containers."""
    words = shlex.split(command.replace("CALL-ID", call_id))
    assert words[:2] == ["docker/compose", "exec"]
    return stack.exec(*words[2:])


def test_a_call_is_refreshed_and_its_capture_tells_so(
    stack: Stack, companion: Companion, tmp_path: Path
) -> None:
    name = "guide-refreshed"
    with stack.capture(tmp_path / "provider.pcap") as packets:
        caller = started(stack, "refreshed-by-us", name)
        try:
            wait_until(lambda: name in companion.sessions(), PATIENCE, f"{name} under watch")
            shown = companion.session(name)
            assert (shown["refresher"], shown["interval"]) == ("local", 90)
            assert name in said(stack, line(LOCALLY, "htable.dump"), name)
            for _ in range(2):
                assert "confirmed" in said(stack, line(LOCALLY, " refresh "), name)
            caller.check(10)
        finally:
            caller.stop()
        wait_until(lambda: b"BYE sip:" in packets.read_bytes(), PATIENCE, "the BYE in the capture")
    read = line(PROVIDER, "tcpdump", "-r provider.pcap")
    file = "/tmp/provider.pcap"  # noqa: S108  # inside the container
    stack.exec("carrier", "sh", "-c", f"base64 -d >{file}", given=b64encode(packets.read_bytes()).decode())
    told = stack.exec("carrier", "sh", "-c", f"cd /tmp && {read} | grep -av '^X'")
    for row in ("INVITE sip:", "SIP/2.0 200", "Session-Expires: 90;refresher=uas", "BYE sip:"):
        assert row in told, told
    assert re.search(r"^(UPDATE|INVITE) sip:(?:.*\n)+?Session-Expires: 90;refresher=uac", told, re.MULTILINE)
