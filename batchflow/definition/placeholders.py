"""Messages with a placeholder for each id, number, path, address, time and quoted text.

Every kind has the same placeholder, ``#``: an id may have digits or not, and a path may look like a
host. So it doesn't matter which kind a text is taken for.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LONGEST: Final = 500

# Technical terms with digits, which are words.
_TERMS: Final = (
    r"u?int(?:8|16|32|64)|float(?:16|32|64)|complex(?:64|128)|datetime64|timedelta64"
    r"|decimal(?:32|64|128|256)|utf-?(?:8|16|32)|latin-?1|sha-?(?:1|256|512)|md5|base(?:32|64)"
    r"|ipv[46]|oauth2|s3|ec2"
)
_EXTENSIONS: Final = (
    "arrow|avro|bak|bin|bz2|cfg|conf|csv|dat|db|duckdb|feather|gif|gz|html?|ini|jpe?g|jsonl?|log"
    "|ndjson|orc|parquet|pdf|pickle|pkl|png|py|sql|sqlite|tar|tmp|toml|tsv|txt|xlsx?|xml|ya?ml|zip"
)
_DOMAINS: Final = (
    "app|arpa|at|au|be|biz|br|ca|ch|cloud|cn|co|com|corp|de|dev|dk|edu|es|eu|example|fi|fr|gov|info"
    "|internal|invalid|io|jp|kr|lan|local|localdomain|mx|net|nl|nz|org|pl|pt|ru|se|test|tr|uk|us"
)
_END: Final = r"\s'\"<>()\[\]{},;|"

# Also an apostrophe within a word, and a text whose end was cut off with the message.
_QUOTED: Final = re.compile(
    r"""(?<!\w)[bruBRU]{0,2}(?:
        '(?:[^'\\\n]+|\\.|'(?=\w))*+'(?!\w) | "(?:[^"\\\n]+|\\.|"(?=\w))*+"(?!\w)
      | `[^`\n]*` | “[^”\n]*” | „[^“”\n]*[“”] | «[^»\n]*»
      | ['"][^\n]{100,}\Z
    )""",
    re.VERBOSE,
)
_QUOTES: Final = frozenset("'\"`“„«")
# Like those of a database: Key (name)=(Jane Doe).
_VALUE: Final = re.compile(r"(?<==)\([^()\n]*\)")
_VARIABLE: Final = re.compile(
    rf"""
      (?P<term> (?<![\w-])(?:{_TERMS})(?![\w-]) )
    | [a-z][\w+.-]*://[^{_END}]+                                                     # URL
    | (?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*                                       # e-mail
    | \b[a-z]:[\\/][^{_END}:]* | (?<!\\)\\\\[\w.-]+\\[^{_END}:]*                     # Windows
    | (?<![\w/.~])(?:~[\w-]*|\.{{1,2}})?/[^{_END}:=/][^{_END}:]*                     # absolute path
    | (?<![\w/-])\d+(?:/\d+)+                                                        # date
    | (?<![\w/.-])[\w.-]+(?:/[\w.-]+){{2,}} | (?<![\w/.-])[\w.-]+/[\w.-]+\.\w{{1,8}}\b
    | (?<![\w.-])[\w-]+(?:\.[\w-]+)*\.(?:{_EXTENSIONS})(?![\w-])                     # file
    | (?<![\w:])(?:[0-9a-f]{{0,4}}:){{2,7}}[0-9a-f]{{0,4}}(?:%\w+)?(?![\w:]|\.\d)  # IPv6, MAC
    | (?<![\w.-])(?:[a-z0-9](?:[\w-]*[a-z0-9])?\.)+(?:{_DOMAINS})(?![\w-])(?::\d+)?  # host
    | (?<![\w+/])(?=[a-z+/]*\d)[a-z0-9+/]{{24,}}={{0,2}} | \b[a-z0-9+/]{{16,}}={{1,2}}(?!\w)
    | \b[a-f]{{7,}}\b                                                                # hexadecimal
    | \#?(?<![\w-])[+-]?[\w-]*\d[\w-]*(?:[.,:+/][+-]?[\w-]*\d[\w-]*)*                # number, id
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TERM: Final = re.compile(_TERMS, re.IGNORECASE)
_PLAIN_ID: Final = re.compile(r"([\w-]*\d[\w-]*)([.,:;!?]?)")
_MONTHS: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_OF_TIMES: Final = frozenset(
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "day"],
)
_OPENING: Final = frozenset("[{(")
_TIME: Final = re.compile(
    r"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
    rf"(?:#\s+{_MONTHS}\s+#|\b{_MONTHS}\s+#(?:,?\s+#)*|#\s+days?,\s+#)"
    r"(?:\s+(?:AM|PM|UTC|GMT|[A-Z]{1,3}S?T)\b)?"
)
_LIST: Final = re.compile(
    r"('#'|#|\{#\}|\[#\]|\(#\))(?:(?:\s*[,;]\s*|\s+and\s+|\s+)(?:\1|\.{3}|…))+"
)
_CONTAINER: Final = re.compile(
    r"([\[{(])(?:[\s,:'#]|None|True|False|null|true|false|\.{3}|…|\[#\]|\{#\}|\(#\))*#"
    r"(?:[\s,:'#]|None|True|False|null|true|false|\.{3}|…|\[#\]|\{#\}|\(#\))*([\]})])"
)
_NUMBER: Final = re.compile(r"(?<![^\W_])\d+(?:[.,:]\d+)*")
_HEXADECIMAL: Final = frozenset("abcdefABCDEF")
_MOST_NESTED: Final = 3
_MOST_READ: Final = 2 * LONGEST


def with_placeholders(message: str) -> str:
    """Return a message in one line, without what differs between failures of one cause."""
    text = message if _QUOTES.isdisjoint(message) else _QUOTED.sub("'#'", message)
    if "=(" in text:
        text = _VALUE.sub("#", text)
    words = [_word(word) for word in text[:_MOST_READ].split()]
    text = " ".join(words)
    if "#" in text:
        if not _OF_TIMES.isdisjoint([word[:3] for word in words]):
            text = _TIME.sub("#", text)
        text = _shortened(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def without_numbers(message: str) -> str:
    """Return a text that is the same only for messages that are the same with placeholders.

    It takes a fraction of the time, so it's the key to look up what is known about a message.
    """
    return _NUMBER.sub("0", message)


@lru_cache(maxsize=4096)
def _word(word: str) -> str:
    if word.isalpha() and not _HEXADECIMAL.issuperset(word):
        return word
    plain = _PLAIN_ID.fullmatch(word)
    if plain is not None and not _TERM.fullmatch(plain[1]):
        return f"#{plain[2]}"
    return _VARIABLE.sub(_placeholder, word)


def _placeholder(found: re.Match[str]) -> str:
    return found["term"] or "#"


def _shortened(text: str) -> str:
    """Return a text in which lists and mappings of values are one value, also nested ones."""
    text = _LIST.sub(r"\1", text)
    for _ in range(0 if _OPENING.isdisjoint(text) else _MOST_NESTED):
        shorter = _LIST.sub(r"\1", _CONTAINER.sub(r"\1#\2", text))
        if shorter == text:
            break
        text = shorter
    return text
