"""Texts without the passwords, tokens and signatures of the URLs in them."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"

# A password may itself contain "/" or "@". So a colon before anything but a port begins one, which
# ends at the last "@". Normalizing a path leaves a single slash behind the scheme.
_USER: Final = re.compile(
    r"(?P<scheme>\b[A-Za-z][\w+.-]+:/{1,3})"
    r"(?:[^\s/@:?#'\"]*:(?!\d{1,5}(?:[/?#\s]|$))[^\s'\"]*|[^\s/@?#'\"]*)@"
)
_PARAMETER: Final = re.compile(
    r"(?P<name>(?:[?&;#]|--)[\w.%$-]*"
    r"(?:(?<![a-z])sig|token|key(?!word)|secret|passw|passphrase|pwd|credential|auth(?!or)|jwt)"
    r"[\w.%-]*)=[^\s&;#'\"]+",
    re.IGNORECASE,
)
_KEYWORD: Final = re.compile(r"\b(?P<name>password|passwd|pwd)\s*=\s*[^\s&;'\"*]+", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Return a text with ``***`` for the user and the secret parameters of each URL in it.

    Examples are ``s3://***@bucket/a.csv`` and ``https://host/a.csv?sig=***``.
    """
    if ":/" in text:
        text = _USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\g<name>={HIDDEN}", text)
        text = _KEYWORD.sub(rf"\g<name>={HIDDEN}", text)
    return text
