"""The fake KSR does what real Kamailios were seen to do, and ends a test that uses it wrongly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kamailio.fakes.fake_ksr import RELEASES, FakeKsr
from tests.kamailio.fakes.kamailio import HERE
from tests.kamailio.fakes.probes import PROBES, Probe
from tests.kamailio.fakes.sip_message import Message

LONGEST = 1000
"""As in probing_script.py."""
IN_EVERY_MESSAGE = ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "X-Probe")


class Probing:
    """Carries a probe out, as probing_script.py does in a real Kamailio."""

    def __init__(self, ksr: FakeKsr, probe: Probe) -> None:
        self.ksr, self.probe = ksr, probe
        self.calls: list[list[Any]] = []

    def _carry_out(self, route: str) -> None:
        for name, *arguments in self.probe.get(route, []):
            function: Any = self.ksr
            for part in name.split("."):
                function = getattr(function, part)
            try:
                gives = function(*arguments)
            except (UnicodeError, SystemError) as error:
                gives = {"raised": type(error).__name__}
            if isinstance(gives, str) and len(gives) > LONGEST:
                gives = {"characters": len(gives)}
            self.calls.append([route, [name, *arguments], gives])

    def request(self) -> None:
        self._carry_out("request")
        if "X-Answered: here" not in self.probe["rows"]:
            self.ksr.setdsturi("sip:127.0.0.1:5062")
            self.ksr.tm.t_relay()

    def branch(self) -> None:
        self._carry_out("branch")

    def reply(self) -> None:
        self._carry_out("reply")

    def onreply(self) -> None:
        self._carry_out("onreply")

    def failure(self) -> None:
        self._carry_out("failure")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", PROBES)
def test_behaves_as_recorded(release: str, name: str) -> None:
    recorded = json.loads((HERE / "behaviour" / f"{release}.json").read_text())[name]
    probe = PROBES[name]
    ksr = FakeKsr(release)
    ids = (f"From: <sip:a@127.0.0.1>;tag={name}-from", f"Call-ID: {name}", "CSeq: 7 INVITE")
    uri = "sip:b@far.example"
    rows = (*ids, "To: <sip:b@far.example>", *probe["rows"])
    probing = Probing(ksr, probe)
    transaction = ksr.receive_request(probing, Message(f"INVITE {uri} SIP/2.0", rows, "127.0.0.1", uri))
    answers = [transaction.answered] if transaction.answered else []
    if not answers:
        for code, told in probe.get("answers", [[200, []]]):
            reply = Message(
                f"SIP/2.0 {code} Told", (*ids, f"To: <sip:b@far.example>;tag={name}-to", *told), "127.0.0.1"
            )
            sent = ksr.receive_reply(probing, transaction, reply, len(transaction.branches) - 1)
            answers += [sent] if sent else []
        if probe.get("silent"):
            sent = ksr.time_out(probing, transaction)
            answers += [sent] if sent else []

    def seen(messages: list[Any]) -> list[list[str]]:
        return [
            "\r\n".join((message.start, *message.without(*IN_EVERY_MESSAGE))).split("\r\n")
            for message in messages
        ]

    assert recorded["calls"] == probing.calls
    assert recorded["forwarded"] == seen([branch.sent() for branch in transaction.branches])
    assert recorded["answers"] == seen(answers)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda ksr: ksr.no_such_function, id="unknown function"),
        pytest.param(lambda ksr: ksr.hdr.no_such_function, id="unknown function of a module"),
        pytest.param(lambda ksr: ksr.no_such_module.append, id="unknown module"),
        pytest.param(lambda ksr: ksr.info(), id="too few arguments"),
        pytest.param(lambda ksr: ksr.info("one\n", "two\n"), id="too many arguments"),
        pytest.param(lambda ksr: ksr.htable.sht_setex("session_timer", "a", "5"), id="text for a number"),
        pytest.param(lambda ksr: ksr.info(5), id="number for a text"),
        pytest.param(lambda ksr: ksr.info(None), id="nothing for a text"),
        pytest.param(lambda ksr: ksr.pv.gete("$ci"), id="no message in hand"),
        pytest.param(lambda ksr: ksr.sl.sl_send_reply(422, "x"), id="wrong route"),
        pytest.param(lambda ksr: ksr.info("no end of line"), id="half a log line"),
        pytest.param(lambda ksr: ksr.info("two\nlines\n"), id="two log lines"),
    ],
)
def test_wrong_use_ends_the_test_whatever_catches_exceptions(release: str, wrong: Any) -> None:
    def guarded() -> None:
        try:
            wrong(FakeKsr(release))
        except Exception:  # noqa: BLE001 - as the binding's guard does
            return

    with pytest.raises(pytest.fail.Exception):
        guarded()
