"""A KEMI script that carries out probes: which calls of KSR, in which route, and what they return.

`record.py` runs it in a real Kamailio. The header X-Probe of a message says which probe of /probe/probes.json
it belongs to; each result is one line of /probe/results.jsonl.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import KSR

FOLDER = Path("/probe")
DONE = 1
LONGEST = 1000
"""Characters of a result that are noted; of a longer one only how many they are."""


def _call(name: str, arguments: list[Any]) -> object:
    function: Any = KSR
    for part in name.split("."):
        function = getattr(function, part)
    try:
        gives = function(*arguments)
        return {"characters": len(gives)} if isinstance(gives, str) and len(gives) > LONGEST else gives
    except Exception as error:  # noqa: BLE001 - what is raised is what the probe wants to know
        return {"raised": type(error).__name__}


class Probing:
    """Kamailio calls the `ksr_*` methods by name."""

    def __init__(self) -> None:
        self.probes = json.loads((FOLDER / "probes.json").read_text())

    def child_init(self, _rank: int) -> int:
        """Kamailio: a process has started."""
        return 0

    def _carry_out(self, route: str) -> None:
        probe = KSR.pv.gete("$hdr(X-Probe)") or KSR.pv.gete("$avp(probe)") or KSR.pv.gete("$ci")
        for name, *arguments in self.probes.get(probe, {}).get(route, []):
            line = {
                "probe": probe,
                "route": route,
                "call": [name, *arguments],
                "gives": _call(name, arguments),
            }
            with (FOLDER / "results.jsonl").open("a") as results:
                results.write(json.dumps(line) + "\n")

    def ksr_request_route(self, _msg: object) -> int:
        """Kamailio: a request has come in."""
        if KSR.is_ACK():
            return DONE
        KSR.pv.sets("$avp(probe)", KSR.pv.gete("$hdr(X-Probe)"))
        self._carry_out("request")
        if KSR.pv.gete("$hdr(X-Answered)") == "here":
            return DONE
        KSR.setdsturi("sip:127.0.0.1:5062")
        KSR.tm.t_on_branch("ksr_branch_manage")
        KSR.tm.t_on_reply("ksr_onreply_manage")
        KSR.tm.t_on_failure("ksr_failure_manage")
        KSR.tm.t_relay()
        return DONE

    def ksr_branch_manage(self, _msg: object) -> int:
        """Kamailio: a request is about to leave on one branch."""
        self._carry_out("branch")
        return DONE

    def ksr_onreply_manage(self, _msg: object) -> int:
        """Kamailio: a reply to a relayed request has come in."""
        self._carry_out("onreply")
        return DONE

    def ksr_failure_manage(self, _msg: object) -> int:
        """Kamailio: every branch has failed."""
        self._carry_out("failure")
        return DONE

    def ksr_reply_route(self, _msg: object) -> int:
        """Kamailio: any reply."""
        self._carry_out("reply")
        return DONE

    def ksr_session_timer_tick(self, _msg: object, _evname: str) -> int:
        """Kamailio's rtimer: a second has passed."""
        return DONE

    def ksr_session_timer_expired(self, _msg: object, _evname: str) -> int:
        """Kamailio's htable: an entry's lifetime is over."""
        return DONE

    def ksr_onsend_route(self, _msg: object) -> int:
        """Kamailio: any message about to be sent."""
        return DONE


def mod_init() -> Probing:
    """Kamailio: the script is loaded."""
    return Probing()
