"""The companion: keeps the session timers of the calls that an Asterisk anchors (RFC 4028)."""

__version__ = "0.2.0"
