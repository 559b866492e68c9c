"""The block of ``key: value`` lines between two ``---`` at the top of a Markdown file: where it ends, what it says."""

from __future__ import annotations

import re

import yaml

_BLOCK = re.compile(
    r"\s*---[ \t]*\r?\n(?P<lines>(?:(?:[\w-]+:[^\r\n]*|[ \t]+[^\s][^\r\n]*|- [^\r\n]*|[ \t]*)\r?\n){1,60}?)"
    r"---[ \t]*(?=\r?\n|\Z)"
)
# A key at the margin with everything up to the next one.
_ENTRY = re.compile(r"^(?P<key>[\w-]+):(?P<value>.*(?:\n(?![\w-]+:).*)*)", re.MULTILINE)


def front_matter_end(text: str) -> int:
    """Return the offset at which the text's front matter ends, 0 if it has none."""
    found = _BLOCK.match(text)
    return found.end() if found else 0


def front_matter(text: str) -> dict[str, str]:
    """Return the keys of the text's front matter, in lower case, with their values; empty without front matter.

    Keys that hold nothing, a list or a mapping are left out. Dates and numbers come as they are written.
    """
    found = _BLOCK.match(text)
    if found is None:
        return {}
    lines = found["lines"].replace("\r\n", "\n")
    values = ((entry["key"].lower(), _value(entry)) for entry in _ENTRY.finditer(lines))
    return {key: value for key, value in values if value}


def _value(entry: re.Match[str]) -> str | None:
    """Return the string that the entry is in YAML; what is no YAML ("title: Kyiv: no deal") counts as written."""
    try:
        loaded = yaml.load(entry[0], yaml.BaseLoader)  # every scalar stays a string
        value = loaded.get(entry["key"]) if isinstance(loaded, dict) else entry["value"]
    except (yaml.YAMLError, RecursionError):
        value = entry["value"]
    return " ".join(value.split()) if isinstance(value, str) else None
