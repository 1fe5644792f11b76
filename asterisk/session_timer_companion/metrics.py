"""What the companion counts, as Prometheus metrics in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from session_timer.session import Method, Reason

from session_timer_companion import __version__, logs
from session_timer_companion.api import RefreshOutcome

ACTIONS = ("hung_up", "reported", "media_flows")
"""What may follow when a session has expired."""

# Each counter would bring a second series with the time of its birth.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Every metric of the companion. Labels are few and bounded: never a Call-ID."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
            ["method", "outcome"],
            registry=registry,
        )
        for method in Method:
            for outcome in RefreshOutcome:
                self._refreshes.labels(method.name, str(outcome))
        self.swallowed = Counter(
            "session_timer_refreshes_swallowed",
            "Refreshes that AMI reported as Success and that never passed the edge.",
            ["method"],
            registry=registry,
        )
        self.seen = Counter(
            "session_timer_peer_refreshes", "Refreshes that the record showed.", registry=registry
        )
        self.expiries = Counter(
            "session_timer_expiries", "Sessions that expired.", ["reason", "action"], registry=registry
        )
        for reason in Reason:
            for action in ACTIONS:
                self.expiries.labels(str(reason), action)
        self.saved = Counter(
            "session_timer_hangups_avoided",
            "Silent peers that a probe showed to be alive.",
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
        self.brake = Gauge("session_timer_brake", "1 while the brake stops all hang-ups.", registry=registry)
        self.refused_headers = Counter(
            "session_timer_headers_refused",
            "Rows of the internal header's name that our key has not signed for that call.",
            ["asterisk"],
            registry=registry,
        )
        registry.register(logs.LOST)
        self.faults = Counter(
            "session_timer_faults",
            "Errors in our own code. A call that one hits goes on.",
            registry=registry,
        )

    def ended(self, method: Method, outcome: RefreshOutcome) -> None:
        """A refresh of ours is over."""
        self._refreshes.labels(method.name, str(outcome)).inc()
