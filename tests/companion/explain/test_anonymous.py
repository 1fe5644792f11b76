"""``--anonymize``: nothing of a capture leaks, and what it says about timers stays the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from session_timer_companion.cli import main
from session_timer_companion.explain.anonymous import Pseudonyms, written
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.reading.sip import Endpoint, Message
from session_timer_companion.explain.reading.trace import Seen

from tests.companion.explain import faults, scenario, writers
from tests.companion.explain.asking import judged
from tests.companion.explain.scenario import lawful

SECRETS = {
    "From": '"Erika Mustermann" <sip:+4930111222333@secret.example;user=phone>;tag=tag-of-mine;x=hidden',
    "P-Asserted-Identity": '"Erika" <sip:+4930111222333@secret-carrier.example>',
    "Contact": "<sip:extension-777@10.99.88.77:5060;ob>;+sip.instance=uuid-1234",
    "Authorization": 'Digest username="trunk-user", realm="secret", nonce="abc", response="deadbeef"',
    "User-Agent": "Asterisk PBX 20.5.0 on host-of-mine",
    "Subject": "Erika's call",
    "Reason": 'SIP;cause=408;text="Session timer expired for Erika"',
    "X-Anything": "Erika",
    "Supported": "timer, x-erika",
    "Call-Info": "<http://10.99.88.77/erika.png>",
    "Session-Expires": "1800;refresher=uac;note=erika",
    "X-Session-Timer": "1800;refresher=local;peer=erika;edge=erika",
}
BODY = (
    "v=0\r\no=erika 4711 3 IN IP4 10.99.88.77\r\ns=Erika's phone\r\nc=IN IP4 10.99.88.77\r\nt=0 0\r\n"
    "m=audio 40777 RTP/SAVP 8\r\na=crypto:1 AES_CM_128 inline:secretkey\r\na=sendonly\r\n"
)
WORDS = (
    "erika",
    "mustermann",
    "4930111222333",
    "secret",
    "10.99.88.77",
    "777",
    "tag-of-mine",
    "hidden",
    "uuid-1234",
    "trunk-user",
    "deadbeef",
    "host-of-mine",
    "40777",
    "45077",
    "4711",
    "203.0.113.9",
)


def a_message() -> Message:
    rows = "".join(f"{name}: {value}\r\n" for name, value in SECRETS.items())
    return Message.parse(
        b"INVITE sip:+4930111222333@10.99.88.77;x=erika SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 10.99.88.77:5060;branch=z9hG4bK-erika\r\n"
        + b"To: <sip:+4930111222333@secret.example>\r\nCall-ID: erika@10.99.88.77\r\nCSeq: 7 INVITE\r\n"
        + f"{rows}Content-Type: application/sdp\r\n\r\n{BODY}".encode()
    )


def test_nothing_leaks() -> None:
    seen = Seen(scenario.START, Endpoint("203.0.113.9", 5060), Endpoint("10.99.88.77", 45077), a_message())

    text = written(seen, Pseudonyms(b"the same in each run"))

    for word in WORDS:
        assert word not in text.lower(), word
    assert "Session-Expires: 1800;refresher=uac\r\n" in text
    assert "X-Session-Timer: 1800;refresher=local\r\n" in text
    assert "Supported: timer\r\n" in text
    assert 'Reason: SIP;cause=408;text="timer expired"' in text
    assert "User-Agent: Asterisk\r\n" in text
    assert "a=sendonly" in text


def test_the_same_word_has_the_same_pseudonym_and_another_time_another() -> None:
    one, other = Pseudonyms(), Pseudonyms()
    assert one.word("call", "a") == one.word("call", "a") != one.word("call", "b")
    assert one.word("call", "a") != other.word("call", "a")
    assert one.address("10.0.0.1") == one.address("10.0.0.1") != one.address("10.0.0.2")


FAULTY = [fault for fault in faults.FAULTS if fault.rule not in (Rule.MALFORMED,)]


@pytest.mark.parametrize("fault", FAULTY, ids=lambda fault: fault.rule.value)
def test_the_verdict_on_the_anonymous_text_is_the_same(tmp_path: Path, fault: faults.Fault) -> None:
    trace = writers.written(tmp_path / "a.pcap", fault.script.through())
    result = CliRunner().invoke(main, ["explain", str(trace), "--anonymize"])
    again = tmp_path / "a.txt"
    again.write_text(result.output, newline="")

    assert result.exit_code == 0
    (before,), (after,) = judged(trace), judged(again)
    assert [verdict.rule for verdict in after.verdicts] == [verdict.rule for verdict in before.verdicts]
    assert "carrier.example" not in result.output
    assert "493012345678" not in result.output


def test_a_header_that_cannot_be_read_is_still_one(tmp_path: Path) -> None:
    script = lawful().rows("invite", Session_Expires="half an hour for Erika")
    trace = writers.written(tmp_path / "a.pcap", script.direct())
    again = tmp_path / "a.txt"
    output = CliRunner().invoke(main, ["explain", str(trace), "--anonymize"]).output
    again.write_text(output, newline="")

    assert "Erika" not in output
    (call,) = judged(again)
    assert [verdict.rule for verdict in call.verdicts] == [Rule.MALFORMED]


_KNOWN = re.compile(r"^[\x20-\x7e\r\n]*$")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*sorted(SECRETS), "Via", "To", "CSeq", "Allow", "Min-SE"]), st.text(max_size=60)
        )
    ),
    st.text(max_size=100),
)
def test_whatever_stands_there_only_words_of_ours_come_out(rows: list[tuple[str, str]], body: str) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in rows)
    data = f"BYE sip:zzz SIP/2.0\r\nCall-ID: zzz\r\n{head}\r\nv=0\r\no={body}".encode(errors="replace")
    text = written(Seen(0, Endpoint("::1"), Endpoint("::2"), Message.parse(data)), Pseudonyms())

    assert "zzz" not in text
    assert _KNOWN.match(text)
    assert Message.parse(text.split("\n", 1)[1].encode()).method == "BYE"


@pytest.mark.parametrize("options", [("--call", "call-1"), ("--json",), ("--html", "a.html"), ("--svg", "a")])
def test_what_would_not_be_done_with_it_is_an_error(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Else who asks for one call would give all of them away."""
    trace = writers.written(tmp_path / "a.pcap", scenario.lawful().direct())
    result = CliRunner().invoke(main, ["explain", str(trace), "--anonymize", *options])
    assert result.exit_code == 2
    assert f"leave out {options[0]}, or explain what it wrote" in result.output
    assert "INVITE" not in result.output
