"""What the companion counts, as Prometheus metrics in a registry of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from session_timer.session import Method, Reason

from session_timer_companion import __version__, logs
from session_timer_companion.api import RefreshOutcome
from session_timer_companion.events import hooks

ACTIONS = ("hung_up", "reported", "media_flows")
"""What may follow when a session has expired."""

OPERATOR_ACTIONS = ("refresh", "refresh_peer", "hang_up", "exclude", "include", "pause", "resume")

GENERAL = "default"
"""The profile's name where none matches and the general settings hold."""

RESPONSE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
"""Seconds, up to what the slowest transaction may take (RFC 3261 17.1)."""

# Each counter would bring a second series with the time of its birth.
disable_created_metrics()  # type: ignore[no-untyped-call]


class OfPeer(NamedTuple):
    """What was counted of one peer since the start."""

    refreshes: dict[RefreshOutcome, int]
    response: list[tuple[float, int]]
    """Upper edges in seconds, and how many responses came within."""
    ended: dict[str, int]
    """Sessions that expired, by what followed (`ACTIONS`)."""
    saved: int
    swallowed: int
    seen: int


class Metrics:
    """Every metric of the companion. Labels are few and bounded: never a Call-ID."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._peers: set[str] = set()
        registry = self.registry
        Gauge("session_timer_build_info", "Always 1.", ["version"], registry=registry).labels(
            __version__
        ).set(1)
        self.sessions = Gauge(
            "session_timer_sessions",
            "Calls tracked.",
            ["asterisk", "refresher", "state"],
            registry=registry,
        )
        self.armed = Counter("session_timer_armed", "Calls tracked.", ["asterisk"], registry=registry)
        self.foreign = Counter(
            "session_timer_foreign",
            "Answered calls without our internal header: not ours.",
            ["asterisk"],
            registry=registry,
        )
        self._refreshes = Counter(
            "session_timer_refreshes",
            "Refreshes of ours, by how they ended.",
            ["peer", "method", "outcome"],
            registry=registry,
        )
        self.response = Histogram(
            "session_timer_response_seconds",
            "Time from a refresh of ours to its 2xx.",
            ["peer"],
            buckets=RESPONSE_BUCKETS,
            registry=registry,
        )
        self.swallowed = Counter(
            "session_timer_refreshes_swallowed",
            "Refreshes that AMI reported as Success and that never passed the edge.",
            ["peer", "method"],
            registry=registry,
        )
        self.seen = Counter(
            "session_timer_peer_refreshes", "Refreshes that the record showed.", ["peer"], registry=registry
        )
        self.expiries = Counter(
            "session_timer_expiries",
            "Sessions that expired.",
            ["peer", "reason", "action"],
            registry=registry,
        )
        self.saved = Counter(
            "session_timer_hangups_avoided",
            "Silent peers that a probe showed to be alive.",
            ["peer"],
            registry=registry,
        )
        self.margin = Histogram(
            "session_timer_refresh_margin_seconds",
            "Time that was left until the deadline when a refresh was confirmed.",
            buckets=(0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900),
            registry=registry,
        )
        self.lag = Histogram(
            "session_timer_wake_lag_seconds",
            "How late a call was woken.",
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
            registry=registry,
        )
        self.ami_up = Gauge(
            "session_timer_ami_up", "1 while logged in to Asterisk.", ["asterisk"], registry=registry
        )
        self.logins = Counter(
            "session_timer_ami_logins",
            "Logins to Asterisk; more than one is a reconnect.",
            ["asterisk"],
            registry=registry,
        )
        self.edge_up = Gauge(
            "session_timer_edge_up", "1 while the edge replies.", ["edge"], registry=registry
        )
        self.settings_differ = Gauge(
            "session_timer_settings_differ",
            "1 while edge and companion have different settings for the same calls.",
            ["edge"],
            registry=registry,
        )
        self.paused = Counter(
            "session_timer_host_paused",
            "How often this host stood still, as the edge's clock showed.",
            registry=registry,
        )
        self.waiting = Gauge(
            "session_timer_waiting",
            "Calls that are due and wait for their turn (companion.pace).",
            ["asterisk"],
            registry=registry,
        )
        self.held = Gauge(
            "session_timer_held",
            "Calls whose refresh is held back because their edge is down.",
            ["asterisk"],
            registry=registry,
        )
        self.leading = Gauge(
            "session_timer_leading",
            "1 where this companion refreshes and hangs up, 0 where it stands by.",
            ["asterisk"],
            registry=registry,
        )
        self.orders_refused = Gauge(
            "session_timer_orders_refused",
            "1 while Asterisk refuses whatever it is told.",
            ["asterisk"],
            registry=registry,
        )
        self.brake = Gauge("session_timer_brake", "1 while the brake stops hang-ups.", registry=registry)
        self.refused_headers = Counter(
            "session_timer_headers_refused",
            "Rows of the internal header's name that our key has not signed for that call.",
            ["asterisk"],
            registry=registry,
        )
        self.operator = Counter(
            "session_timer_operator",
            "What an operator has asked for.",
            ["action"],
            registry=registry,
        )
        for asked in OPERATOR_ACTIONS:
            self.operator.labels(asked)
        self.operator_pause = Gauge(
            "session_timer_paused", "1 while an operator holds everything back.", registry=registry
        )
        self.learned = Gauge(
            "session_timer_learned",
            "Addresses of peers that swallow UPDATE and get re-INVITE for a day.",
            ["asterisk"],
            registry=registry,
        )
        self.excluded = Gauge(
            "session_timer_excluded",
            "Calls for which an operator holds everything back.",
            registry=registry,
        )
        registry.register(hooks.COUNTED)
        registry.register(logs.LOST)
        self.faults = Counter(
            "session_timer_faults",
            "Errors in our own code. A call that one hits goes on.",
            registry=registry,
        )

    def know(self, peers: Iterable[str]) -> None:
        """Begin the series of these profiles, so that the first of each kind is an increase."""
        peers = tuple(peers)
        self._peers |= {GENERAL, *peers}
        for peer in (GENERAL, *peers):
            for method in Method:
                for outcome in RefreshOutcome:
                    self._refreshes.labels(peer, method.name, str(outcome))
                self.swallowed.labels(peer, method.name)
            for reason in Reason:
                for action in ACTIONS:
                    self.expiries.labels(peer, str(reason), action)
            self.saved.labels(peer)
            self.seen.labels(peer)
            self.response.labels(peer)

    def peers(self) -> set[str]:
        """The peers of which anything is known."""
        return set(self._peers)

    def of_peer(self, peer: str) -> OfPeer:
        """What was counted of one peer."""
        refreshes = dict.fromkeys(RefreshOutcome, 0)
        for method in Method:
            for outcome in RefreshOutcome:
                refreshes[outcome] += _count(self._refreshes, peer, method.name, str(outcome))
        (family,) = self.response.labels(peer).collect()
        response = [
            (float(sample.labels["le"]), int(sample.value))
            for sample in family.samples
            if "le" in sample.labels
        ]
        ended = {
            action: sum(_count(self.expiries, peer, str(reason), action) for reason in Reason)
            for action in ACTIONS
        }
        return OfPeer(
            refreshes=refreshes,
            response=response,
            ended=ended,
            saved=_count(self.saved, peer),
            swallowed=sum(_count(self.swallowed, peer, method.name) for method in Method),
            seen=_count(self.seen, peer),
        )

    def ended(self, peer: str, method: Method, outcome: RefreshOutcome) -> None:
        """A refresh of ours is over."""
        self._refreshes.labels(peer or GENERAL, method.name, str(outcome)).inc()


def _count(counter: Counter, *labels: str) -> int:
    (family,) = counter.labels(*labels).collect()
    return int(family.samples[0].value)
