"""``python3 -m session_timer_companion.explain TRACE``: without anything that the daemon needs."""

from session_timer_companion.explain.command import command

if __name__ == "__main__":
    command(prog_name="session-timer explain")
