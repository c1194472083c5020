"""The valid name that a misspelled one is closest to."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, valid: Iterable[str], shown: str = "{!r}") -> str:
    """Return a question with the closest valid name, behind a space; empty if none is close.

    Args:
        name: The name that isn't valid.
        valid: The valid names.
        shown: How the question shows a name.
    """
    close = _closest(name, valid)
    return f" Did you mean {shown.format(close)}?" if close else ""


def closest_hint(name: str, valid: Iterable[str]) -> str:
    """Return the same question for the middle of a sentence: in parentheses, behind a space."""
    close = _closest(name, valid)
    return f" (did you mean {close!r}?)" if close else ""


def _closest(name: str, valid: Iterable[str]) -> str | None:
    import difflib

    by_case = {each.lower(): each for each in valid}
    close = difflib.get_close_matches(name.lower(), by_case, n=1)
    return by_case[close[0]] if close else None
