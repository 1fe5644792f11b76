"""`companion.hooks`: who is told when a call is hung up or a peer refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from session_timer_companion.section import Section

On = Literal["hung_up", "refused"]


class Hook(Section):
    """One entry of `companion.hooks`."""

    on: Annotated[list[On], Field(min_length=1)]
    run: str | None = None
    """The absolute path of a program that gets JSON on standard input."""
    url: str | None = None
    """Where the same JSON is posted to."""
    timeout: Annotated[float, Field(ge=0.1, le=60)] = 5.0
    """Seconds after which it is broken off."""

    @field_validator("run")
    @classmethod
    def _can_be_run(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if not Path(path).is_absolute():
            raise ValueError(f"expected an absolute path, not {path!r}")
        if not Path(path).is_file() or not os.access(path, os.X_OK):
            raise ValueError(f"{path} is no program that can be run: chmod +x")
        return path

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("expected http://... or https://...")
        return url

    @model_validator(mode="after")
    def _one_of_both(self) -> Hook:
        if (self.run is None) == (self.url is None):
            raise ValueError("give run, the path of a program, or url, a web address")
        return self
