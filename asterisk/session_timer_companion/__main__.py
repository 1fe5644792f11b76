"""`python3 -m session_timer_companion`."""

from session_timer_companion.command import main

if __name__ == "__main__":
    main()
