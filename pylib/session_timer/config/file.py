"""The text of the configuration file as data: YAML, or JSON, and strict in both.

PyYAML is imported where a text is YAML and nowhere else: inside Kamailio's Python there may be none.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from .model import ConfigError, Problem

if TYPE_CHECKING:
    import yaml


def parse(text: str, source: str) -> object:
    """The data in `text`; `source` is its file's name, and one that ends in ``.json`` is read as JSON.

    Every key is text, also one that YAML 1.1 takes for something else, such as ``on`` for true. One that
    stands twice in one mapping is an error in both: the reader of one of them would not know that the other
    is in force. Raises `ConfigError` with the line and column, where they are known.
    """
    return _json(text, source) if source.endswith(".json") else _yaml(text, source)


def unreadable(source: str, error: OSError | UnicodeDecodeError) -> ConfigError:
    """What to raise where the file `source` cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return ConfigError(source, (Problem("(file)", f"is not UTF-8 at byte {error.start}"),))
    return ConfigError(source, (Problem("(file)", f"cannot be read: {error.strerror or error}"),))


def _json(text: str, source: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_without_double_keys)
    except (ValueError, RecursionError) as error:
        raise ConfigError(source, (Problem("(file)", f"is no JSON: {error}"),)) from error


def _without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is here twice")
    return found


def _yaml(text: str, source: str) -> object:
    try:
        import yaml  # noqa: PLC0415  # only where the file is YAML does a bare host need it
    except ModuleNotFoundError as error:
        wanted = "needs PyYAML: apt-get install python3-yaml, or write the same as .json"
        raise ConfigError(source, (Problem("(file)", wanted),)) from error
    try:
        return yaml.load(text, _strict_loader())  # noqa: S506  # a SafeLoader that also minds double keys
    # The 13th month, a number of 5,000 digits and lists in lists without end are no errors of YAML's own.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(file)"
        said = (getattr(error, "context", None), getattr(error, "problem", None))
        reason = ", ".join(part for part in said if part) or " ".join(str(error).split())
        raise ConfigError(source, (Problem(where, f"is no YAML: {reason}"),)) from error


_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


@cache
def _strict_loader() -> type[yaml.SafeLoader]:
    import yaml  # noqa: PLC0415  # as above

    class UniqueTextKeys(yaml.SafeLoader):
        """PyYAML lets the last of two equal keys win, and reads `on` as true; here neither happens."""

        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401  # its stub is wrong
            node = super().compose_mapping_node(anchor)
            # Now, because later the keys of a mapping that is merged (`<<`) stand among the node's own.
            seen: set[tuple[str, str]] = set()
            pairs = [(as_text(key), value) for key, value in node.value]
            for key, _ in pairs:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is here twice", problem_mark=key.start_mark
                    )
                seen.add((key.tag, key.value))
            node.value = pairs
            return node

    def as_text(key: yaml.Node) -> yaml.Node:
        """A node of its own, because an anchor may have made this one a value elsewhere."""
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            return key
        return yaml.ScalarNode(_TEXT, key.value, key.start_mark, key.end_mark, key.style)

    return UniqueTextKeys
