"""Whatever a file holds is read to its end: no exception, and no memory without bound."""

from __future__ import annotations

import random
import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_timer_companion.explain.command import explained
from session_timer_companion.explain.gathering import calls
from session_timer_companion.explain.judging.judge import Settings
from session_timer_companion.explain.reading.sip import Endpoint, Message, NotSipError
from session_timer_companion.explain.reading.trace import Notes, Seen, TraceError, read

from tests.companion.explain import scenario, writers
from tests.companion.explain.asking import judged
from tests.companion.explain.scenario import lawful
from tests.companion.explain.writers import datagrams, pcap, pcapng, tcp
from tests.fuzz.traces import trace

CORPUS = Path(__file__).parents[2] / "fuzz/corpus-of-traces/trace"
SENT = lawful().through()
SEEDS = {
    "pcap": pcap(datagrams(SENT)),
    "fragments": pcap([(one.time, part) for one in SENT for part in writers.fragments(one)]),
    "pcapng": pcapng(datagrams(SENT), ("ethernet", "raw")),
    "tcp": pcap(tcp(lawful().direct(), 200)),
    "websocket": pcap(tcp(lawful().direct(), 300, 8080, writers.websocket(scenario.CARRIER))),
    "hep": pcap(datagrams(writers.copied(SENT))),
    "asterisk": writers.asterisk_log(SENT),
    "sngrep": writers.sngrep_text(SENT),
}


def survives(data: bytes) -> None:
    """Every call is judged and drawn, or the file is refused in one line."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            found = judged(Path(file.name))
        except TraceError as error:
            found, refusal = [], str(error)
        else:
            refusal = ""
    assert "\n" not in refusal
    for call in found:
        call.ladder()


@pytest.mark.parametrize("name", SEEDS)
def test_mutations_of_every_form(name: str) -> None:
    """Bytes changed, cut out, doubled: the same ones in each run."""
    chance = random.Random(name)  # noqa: S311 - not a secret
    for _ in range(60):
        data = bytearray(SEEDS[name])
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randrange(1, 40)]
                case 2:
                    data[at:at] = data[at : at + chance.randrange(1, 300)]
                case _:
                    data[at : at + 4] = chance.choice(
                        (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\r\n\r\n", b"9999")
                    )
        survives(bytes(data))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SEEDS)), st.binary(max_size=400), st.integers(0, 6000))
def test_any_bytes_in_any_place(name: str, more: bytes, at: int) -> None:
    data = SEEDS[name]
    survives(data[:at] + more + data[at + len(more) :])


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_the_fuzzer_found_worth_keeping(path: Path) -> None:
    trace(path.read_bytes())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_as_a_message(data: bytes) -> None:
    try:
        message = Message.parse(b"INVITE sip:a SIP/2.0\r\n" + data)
    except NotSipError:
        return
    assert message.method == "INVITE"
    assert all("\n" not in value for _, value in message.headers)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(range(len(SENT))), min_size=1, max_size=60), st.data())
def test_messages_in_any_order_and_number(order: list[int], data: st.DataObject) -> None:
    """Half calls, calls backwards, answers without requests, times out of order."""
    times = st.floats(0, 1e10, allow_nan=False)
    sent = [replace(SENT[n], time=data.draw(times)) for n in order]
    survives(pcap([(min(one.time, 4e9), writers.udp(one)) for one in sent]))


def test_a_call_with_messages_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_MESSAGES", 50)
    gathered = calls.Calls(Notes())
    for number in range(200):
        text = SENT[0].text.replace(b"CSeq: 1 ", f"CSeq: {number} ".encode())
        list(gathered.add(Seen(number, Endpoint("a"), Endpoint("b"), Message.parse(text))))

    (call,) = gathered.rest()

    assert len(call.messages) == 50
    assert call.left_out == 150


def test_calls_without_end_are_judged_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_CALLS", 20)
    gathered = calls.Calls(Notes())
    over = []
    for number in range(100):
        text = SENT[0].text.replace(b"call-1@", f"call-{number}@".encode())
        over += list(gathered.add(Seen(0, Endpoint("a"), Endpoint("b"), Message.parse(text))))

    assert [call.call_id for call in over[:2]] == ["call-0@carrier.example", "call-1@carrier.example"]
    assert len(over) == 80
    assert len(list(gathered.rest())) == 20


def test_memory_does_not_grow_with_what_is_over(tmp_path: Path) -> None:
    """Three thousand calls one after the other: each is let go when it is over."""
    path = tmp_path / "many.pcap"
    short = (
        lawful().without("one", "one-ok", "two", "two-ok").change("bye", lambda line: replace(line, at=10))
    )
    short = short.change("bye-ok", lambda line: replace(line, at=10.1))
    texts = [(sent.time - scenario.START, sent) for sent in short.direct()]

    def frames(number: int) -> list[tuple[float, bytes]]:
        return [
            (
                scenario.START + number * 60 + at,
                writers.udp(replace(sent, text=sent.text.replace(b"call-1@", b"call-%d@" % number))),
            )
            for at, sent in texts
        ]

    path.write_bytes(pcap(frame for number in range(3000) for frame in frames(number)))
    judged_one = tmp_path / "one.pcap"
    judged_one.write_bytes(pcap(frames(0)))
    judged(judged_one)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    notes = Notes()
    count = sum(1 for _ in explained(read(path, notes), notes, Settings()))

    assert count == 3000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000
