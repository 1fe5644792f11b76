"""What the verbs of one call take in Python alone, with warm and with cold caches.

    python -m tests.bench.edge_verbs        in a container of the edge, as `make bench-edge` runs it

In place of Kamailio stand a few functions that do next to nothing, so this is our own code and Python. A
worker that sleeps between two messages finds little of both in the processor's caches; before each verb that
is measured cold, more memory than the caches hold is read.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

PEER, ASTERISK = "203.0.113.5", "192.0.2.20"
SETTINGS = f"""
session_timer: {{default_expires: 1800, min_se: 90}}
asterisk: [{ASTERISK}]
peers: [{{name: carrier, match: {{address: [{PEER}]}}}}]
edge: {{name: edge-1, key_file: KEY}}
"""
KEY = "worth-nothing-outside-the-benchmark"
HEADERS = (
    "Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require", "Allow", "CSeq", "Record-Route",
)  # fmt: skip
_INSIDE = re.compile(r"\$hdrc\((?P<counted>[^()]+)\)|\$\(hdr\([^()]+\)\[\*\]\)|\$\w+(?:\([^()]*\))?")
MORE_THAN_CACHES = 64 << 20
"""Bytes."""


class Message(NamedTuple):
    """One message of the call: the verb that sees it, and what Kamailio says of it."""

    name: str
    verb: str
    values: dict[str, str | None]


def call(number: int) -> Iterator[Message]:
    """A peer's INVITE and its 2xx, the peer's UPDATE and its 2xx: each enters Python once."""
    dialog: dict[str, str | None] = {
        "$ci": f"{number:016x}@192.0.2.77", "$ft": f"from{number}", "$tt": "", "$cs": "1", "$si": PEER,
        "$fd": PEER, "$nh(d)": ASTERISK, "$T_branch_idx": "0", "$ml": "900", "$du": "", "$fs": "",
        **dict.fromkeys(f"$(hdr({header})[*])" for header in HEADERS),
    }  # fmt: skip
    asks = {
        "$(hdr(Session-Expires)[*])": "1800;refresher=uac",
        "$(hdr(Supported)[*])": "timer",
        "$(hdr(Allow)[*])": "INVITE, UPDATE",
        "$hdr(Contact)": f"<sip:carrier@{PEER}>",
    }
    tag = {"$tt": f"to{number}"}
    for method, cseq in (("INVITE", "1"), ("UPDATE", "2")):
        dialog |= {"$rm": method, "$cs": cseq, "$mi": f"{number}{cseq}"}
        within = {} if method == "INVITE" else tag
        yield Message(f"{method}, branch route", "on_branch", {**dialog, **asks, **within})
        ends = {
            "$rs": "200",
            "$(hdr(CSeq)[*])": f"{cseq} {method}",
            "$(hdr(Record-Route)[*])": "<sip:192.0.2.10;lr>",
        }
        yield Message(f"{method}, 2xx", "on_reply", {**dialog, **tag, **ends})


class Kamailio:
    """As much of Kamailio's module KSR as one call needs, and as little work as can be."""

    def __init__(self) -> None:
        self._values: dict[str, str | None] = {}
        self._avps: dict[str, str] = {}
        self._records: dict[tuple[str, str], str] = {}
        self._texts: set[str] = set()
        """The texts that were asked for so far: they are printed before a verb is measured."""

    def begin(self, message: Message) -> None:
        """This message is being routed; the AVPs of its transaction begin with the request."""
        if message.verb == "on_branch":
            self._avps = {}
        self._values = {**message.values, **self._avps}
        self._values |= {name: self._printed(name) for name in self._texts}

    def refreshed(self) -> int:
        """How many calls have a record that knows of one refresh."""
        return sum(";refreshes=1;" in record for record in self._records.values())

    def module(self) -> types.ModuleType:
        """What our code imports."""
        parts: dict[str, dict[str, Callable[..., Any]]] = {
            "pv": {"get": self._get, "gete": self._gete, "sets": self._sets},
            "htable": {
                "sht_gete": lambda table, key: self._records.get((table, key), ""),
                "sht_sets": self._set_record,
                **dict.fromkeys(("sht_setex", "sht_lock", "sht_unlock", "sht_rm"), _done),
            },
            "hdr": dict.fromkeys(("remove", "append"), _done),
            "statistics": {"update_stat": _done},
        }
        module = types.ModuleType("KSR")
        for part, its in parts.items():
            setattr(module, part, types.SimpleNamespace(**its))
        functions: dict[str, Callable[..., object]] = {
            "info": _done,
            "warn": _fail,
            "err": _fail,
            "is_myself": lambda _: True,
        }
        for name, function in functions.items():
            setattr(module, name, function)
        return module

    def _get(self, name: str) -> str | None:
        if name.startswith("$_s(") and name not in self._texts:
            self._texts.add(name)
            self._values[name] = self._printed(name)
        return self._values[name]

    def _printed(self, text: str) -> str:
        """What Kamailio makes of a text with pseudo-variables in it."""

        def value(found: re.Match[str]) -> str:
            if header := found["counted"]:
                return str(int(self._values[f"$(hdr({header})[*])"] is not None))
            return self._values.get(found[0]) or "<null>"

        return _INSIDE.sub(value, text.removeprefix("$_s(").removesuffix(")"))

    def _gete(self, name: str) -> str:
        return self._values.get(name) or ""

    def _sets(self, name: str, value: str) -> int:
        self._avps["$" + name[2 : -len("[*])")]] = value
        return 1

    def _set_record(self, table: str, key: str, value: str) -> int:
        self._records[table, key] = value
        return 1


def _done(*_: object) -> int:
    return 1


def _fail(line: str) -> None:
    # Our code guards itself and would go on, and what is measured were something else.
    sys.exit(f"bench-edge: {line}")


def measure(kamailio: Kamailio, calls: int, *, cold: bool) -> dict[str, float]:
    """The median of each verb, in microseconds."""
    from session_timer_kemi import SessionTimers  # noqa: PLC0415  # the module KSR must be there first

    taken: dict[str, list[int]] = {}
    memory = bytearray(MORE_THAN_CACHES)
    with tempfile.TemporaryDirectory() as folder:
        key, settings = Path(folder, "key"), Path(folder, "settings.yaml")
        key.write_text(KEY, "ascii")
        key.chmod(0o600)
        settings.write_text(SETTINGS.replace("KEY", str(key)), "utf-8")
        timers = SessionTimers(str(settings))
        for number in range(calls):
            for message in call(number):
                kamailio.begin(message)
                verb = getattr(timers, message.verb)
                if cold:
                    memory.count(b"x")
                start = time.perf_counter_ns()
                verb()
                taken.setdefault(message.name, []).append(time.perf_counter_ns() - start)
    if kamailio.refreshed() != calls:
        sys.exit(f"bench-edge: {kamailio.refreshed()} of {calls} calls have a record of their refresh")
    return {name: statistics.median(each) / 1000 for name, each in taken.items()}


def main(calls: int) -> None:
    """Print a line for each verb, and one of all: of `calls` with warm caches, and a tenth with cold ones."""
    kamailio = Kamailio()
    sys.modules["KSR"] = kamailio.module()
    cold = measure(kamailio, calls // 10, cold=True)
    warm = measure(kamailio, calls, cold=False)
    for name in warm:
        print(f"  {name:20} {warm[name]:5.0f} us warm {cold[name]:5.0f} us cold")
    print(f"  of one call          {sum(warm.values()):5.0f} us warm {sum(cold.values()):5.0f} us cold")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
