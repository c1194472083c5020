"""The reason of a pause or a cancellation."""

from __future__ import annotations

from batchflow.credentials import without_credentials


def checked_reason(reason: object) -> str:
    """Return the reason as a text that can be stored, without the passwords of URLs.

    Raises:
        TypeError: The reason is no text.
    """
    if not isinstance(reason, str):
        raise TypeError(f"The reason has type {type(reason).__name__}. Give a text.")
    # The method of str itself, because a subclass may override it.
    return without_credentials(str.encode(reason, "utf-8", "replace").decode("utf-8"))
