"""The reason of a pause, a resume or a cancellation."""

from __future__ import annotations


def checked_reason(reason: object) -> str:
    """Return the reason as text that can be stored.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(reason, str):
        raise TypeError(f"the reason is of type {type(reason).__name__}; give a text")
    # The class's own, as a subclass may have others.
    return str.encode(reason, "utf-8", "replace").decode("utf-8")
