"""Session timers in SIP (RFC 4028): the protocol, and nothing else.

Facts in, decisions out. A request or an answer is read into `RefreshRequest` or `RefreshResponse`;
`uas`, `uac` and `proxy` decide what to put on the wire and what comes into force; `session` says when
to refresh and when to give up; `record` and `internal_header` carry the state between programs. No
clock, no sockets, no logging: whoever calls passes the time.
"""

from . import answers, internal_header, proxy, record, session, uac, uas
from .config import Config, ConfigError, Edge, Peer, Problem, is_rpc_address, validate
from .dialog import Agreement, DialogTimer, Side
from .headers import (
    ABSOLUTE_MINIMUM,
    COMPACT_NAMES,
    LARGEST_INTERVAL,
    REFRESH_METHODS,
    TIMER,
    HeaderError,
    Role,
    SessionExpires,
    parse_min_se,
)
from .internal_header import InternalHeader
from .message import RefreshRequest, RefreshResponse, Rows
from .policy import ExpiryAction, Mode, Policy
from .record import Failure, Record, RecordError

__all__ = [
    "ABSOLUTE_MINIMUM",
    "COMPACT_NAMES",
    "LARGEST_INTERVAL",
    "REFRESH_METHODS",
    "TIMER",
    "Agreement",
    "Config",
    "ConfigError",
    "DialogTimer",
    "Edge",
    "ExpiryAction",
    "Failure",
    "HeaderError",
    "InternalHeader",
    "Mode",
    "Peer",
    "Policy",
    "Problem",
    "Record",
    "RecordError",
    "RefreshRequest",
    "RefreshResponse",
    "Role",
    "Rows",
    "SessionExpires",
    "Side",
    "answers",
    "internal_header",
    "is_rpc_address",
    "parse_min_se",
    "proxy",
    "record",
    "session",
    "uac",
    "uas",
    "validate",
]
