"""Which forms of refresh are known to leave Asterisk, and when another one is to be tried beside the first.

Asterisk swallows an UPDATE by connected line where the endpoint has no `send_pai`, and says Success. So a
form counts from its first answer on; a re-INVITE, as `refreshing` makes Asterisk send it, always leaves.
"""

from __future__ import annotations

from session_timer.session import Method

from session_timer_companion.watch import Attempt, Watch


class Forms:
    """What was learned of each endpoint since the start."""

    def __init__(self) -> None:
        self._proven: set[tuple[str, Method]] = set()

    def answered(self, watch: Watch, attempt: Attempt) -> None:
        """The peer answered this attempt: its form leaves, at this endpoint."""
        self._proven.add((watch.endpoint, attempt.method))

    def left_for_sure(self, watch: Watch, attempt: Attempt) -> bool:
        """Whether this refresh surely left Asterisk, so that silence is the peer's."""
        return (
            attempt.other_form
            or attempt.method is Method.INVITE
            or (watch.endpoint, attempt.method) in self._proven
        )

    def second_due(self, watch: Watch, attempt: Attempt) -> float | None:
        """When to send another form too; None where the first is trusted, or another is tried anyway.

        In seconds of our clock: half-way to the deadline, so that the other can still be answered.
        """
        standing = watch.session
        if standing.wake is None or standing.deadline is None or standing.wake < standing.deadline:
            return None
        if attempt.second_tried or self.left_for_sure(watch, attempt):
            return None
        return (attempt.sent + standing.wake) / 2
