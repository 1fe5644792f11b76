"""The lab's script on every transport: which one leads to Asterisk is said in From."""

import ipaddress
import json
import os

import KSR
from edge import kamailio as lab

ASTERISK = json.loads(os.environ["ASTERISK_URIS"])
OURS = [ipaddress.ip_address(address) for address in os.environ["ASTERISK_ADDRESSES"].split()]
DONE = 1


class Edge(lab.Edge):
    """What differs with the transport, and no more."""

    def ksr_xhttp_event(self, msg: object, evname: str) -> int:  # noqa: ARG002  # Kamailio passes them
        """Kamailio's xhttp: a request by HTTP, the first one of a WebSocket among them."""
        if KSR.pv.gete("$hdr(Upgrade)").lower() == "websocket":
            KSR.websocket.handle_handshake()  # type: ignore[attr-defined]  # the lab's edge does not load it
            return DONE
        self.timers.on_http()
        return DONE

    def _begin_dialog(self) -> None:
        if KSR.is_REGISTER():
            KSR.nathelper.fix_nated_register()
            KSR.registrar.save("location", 0)  # type: ignore[attr-defined]
            return
        if self._from_asterisk():
            KSR.registrar.lookup("location")  # type: ignore[attr-defined]
        super()._begin_dialog()

    def _from_asterisk(self) -> bool:
        return ipaddress.ip_address(KSR.pv.gete("$si").strip("[]")) in OURS

    def _to_asterisk(self) -> None:
        KSR.setdsturi(ASTERISK[KSR.pv.gete("$fU")])

    def _reach_loopback_callers(self) -> None:
        """Behind a WebSocket a Contact has no address: the connection is kept in its alias."""
        if KSR.pv.gete("$proto") in ("ws", "wss"):
            KSR.nathelper.set_contact_alias()


def mod_init() -> Edge:
    """Kamailio: the script is loaded."""
    return Edge()
