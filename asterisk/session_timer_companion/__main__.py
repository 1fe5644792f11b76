"""`python3 -m session_timer_companion`."""

from session_timer_companion.cli import main

if __name__ == "__main__":
    main()
