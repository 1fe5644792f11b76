"""What can go wrong with an Asterisk manager interface, told so that an operator can act on it.

AmiError
├── AmiAccountError   the settings themselves are wrong (also a ValueError)
├── AmiHeaderError    an action that must not be sent (also a ValueError)
├── AmiUnavailable    no connection, or it ended before the answer
├── AmiLoginError     Asterisk answers and refuses us
├── AmiTimeout        connected, but no answer in time
└── AmiRefused        a list action was answered with an error
"""

from __future__ import annotations


class AmiError(Exception):
    """Anything this adapter raises on purpose."""


class AmiAccountError(AmiError, ValueError):
    """A setting of an AMI account cannot work: which one, and what to write instead."""


class AmiHeaderError(AmiError, ValueError):
    """A header name or value that AMI cannot carry; nothing of the action was sent.

    A line break would end the header and start one of the sender's choosing: a whole second action.
    """


class AmiUnavailable(AmiError):  # noqa: N818  # a state of things, and named for it
    """There is no connection, or it ended before the answer.

    In the second case the action may or may not have been carried out. It is never sent again.
    """


class AmiLoginError(AmiError):
    """Asterisk refused the login."""

    def __init__(self, *, name: str, host: str, port: int, username: str, reason: str) -> None:
        super().__init__(
            f"AMI {name}: {host}:{port} refused the login of user {username!r}: {reason}. "
            f"Check that [{username}] is in manager.conf or manager.d/ with the same secret, that its "
            "permit, deny and acl lines admit this host, then run `asterisk -rx 'manager reload'`"
        )
        self.host = host
        self.port = port
        self.username = username
        self.reason = reason


class AmiTimeout(AmiError):  # noqa: N818  # as above
    """The deadline passed without an answer; the action may still be carried out later.

    `channel` is the one that Asterisk is at; empty if none. It answers in the order in which it was asked:
    a channel that is stuck keeps all later questions of the same connection waiting.
    """

    def __init__(self, message: str, channel: str = "") -> None:
        super().__init__(message)
        self.channel = channel


class AmiRefused(AmiError):  # noqa: N818  # as above
    """Asterisk answered a list action with an error, `reason` being its own words."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(f"Asterisk refused {action}: {reason}")
        self.reason = reason
