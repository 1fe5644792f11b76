"""One call as the capture shows it: what the questions of the demo and the tests are put to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from demo.deadline import REFRESH_METHODS

from tests.lab.capture import Packet


@dataclass(frozen=True, slots=True)
class Refresh:
    """A session refresh request on the outside leg, and the final response to it if one came."""

    request: Packet
    response: Packet | None

    @property
    def answered(self) -> bool:
        """Whether it was answered by a 2xx, which alone moves the expiry."""
        return self.response is not None and (self.response.message.status or 0) // 100 == 2

    @property
    def agreed(self) -> str | None:
        """Session-Expires of that response, as it was written."""
        return self.response.message.header("Session-Expires") if self.response else None


@dataclass(frozen=True, slots=True)
class ObservedCall:
    """The packets of one Call-ID on two legs: outside is carrier and edge, inside is edge and Asterisk.

    Retransmissions are left out, so each message stands once on each leg.
    """

    call_id: str
    packets: tuple[Packet, ...]
    edge: str
    carrier: str
    asterisk: str

    @classmethod
    def of(
        cls, packets: Iterable[Packet], call_id: str, *, edge: str, carrier: str, asterisk: str
    ) -> ObservedCall:
        """The call of that Call-ID among all that was captured."""
        own = tuple(each for each in packets if each.message.call_id == call_id)
        return cls(call_id, own, edge, carrier, asterisk)

    @property
    def outside(self) -> list[Packet]:
        """What passed between the carrier and the edge."""
        return self._leg(self.carrier)

    @property
    def inside(self) -> list[Packet]:
        """What passed between the edge and Asterisk."""
        return self._leg(self.asterisk)

    @property
    def invites(self) -> list[Packet]:
        """The initial INVITEs outside, a second try after 422 included."""
        return [
            each for each in self.outside if each.message.is_request("INVITE") and each.message.to_tag is None
        ]

    @property
    def established(self) -> Packet | None:
        """The 2xx outside that made the call."""
        found = (self.response(each) for each in self.invites)
        return next((each for each in found if each and (each.message.status or 0) // 100 == 2), None)

    @property
    def agreed(self) -> str | None:
        """Session-Expires of the 2xx that made the call, as it was written."""
        return self.established.message.header("Session-Expires") if self.established else None

    @property
    def refreshes(self) -> list[Refresh]:
        """Every INVITE and UPDATE within the dialog outside, whoever sent it."""
        return [
            Refresh(each, self.response(each))
            for each in self.outside
            if each.message.is_request(*REFRESH_METHODS) and each.message.to_tag
        ]

    def refreshes_by(self, address: str) -> list[Refresh]:
        """Those that this side sent."""
        return [each for each in self.refreshes if each.request.source.address == address]

    @property
    def bye(self) -> Packet | None:
        """The first BYE outside."""
        return next((each for each in self.outside if each.message.is_request("BYE")), None)

    def response(self, request: Packet) -> Packet | None:
        """The final response to a request on its own leg."""
        for each in self.packets:
            message = each.message
            if (
                (message.status or 0) >= 200
                and message.cseq == request.message.cseq
                and (each.source, each.destination) == (request.destination, request.source)
                and each.time >= request.time
            ):
                return each
        return None

    def _leg(self, other: str) -> list[Packet]:
        return [
            each
            for each in self.packets
            if {each.source.address, each.destination.address} == {self.edge, other}
            and not each.retransmission
        ]
