"""Session timers in SIP (RFC 4028): the protocol, and nothing else.

Facts in, decisions out. A request or a response is read into `RefreshRequest` or `RefreshResponse`;
`uas`, `uac` and `proxy` decide what to put on the wire and what comes into force; `session` says when
to refresh and when to hang up; `record` and `internal_header` carry the state between programs. No
clock, no sockets, no logging: the caller passes the time.
"""

from . import evidence, internal_header, minimum, proxy, record, session, uac, uas
from .config import (
    Config,
    ConfigError,
    EdgeSettings,
    ExpiryAction,
    Mode,
    Peer,
    Policy,
    Problem,
    is_door_address,
    validate,
)
from .dialog import Agreement, DialogTimer, Side
from .headers import (
    ABSOLUTE_MINIMUM,
    LARGEST_INTERVAL,
    REFRESH_METHODS,
    TIMER,
    HeaderError,
    Role,
    SessionExpires,
    parse_min_se,
)
from .internal_header import InternalHeader
from .message import RefreshRequest, RefreshResponse, Rows, dialog_oddities
from .record import Asked, Outcome, Record, RecordError
from .shared_key import SharedKey

__all__ = [
    "ABSOLUTE_MINIMUM",
    "LARGEST_INTERVAL",
    "REFRESH_METHODS",
    "TIMER",
    "Agreement",
    "Asked",
    "Config",
    "ConfigError",
    "DialogTimer",
    "EdgeSettings",
    "ExpiryAction",
    "HeaderError",
    "InternalHeader",
    "Mode",
    "Outcome",
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
    "SharedKey",
    "Side",
    "dialog_oddities",
    "evidence",
    "internal_header",
    "is_door_address",
    "minimum",
    "parse_min_se",
    "proxy",
    "record",
    "session",
    "uac",
    "uas",
    "validate",
]
