"""Turn whatever a step raised into a record of bounded size, and never fail doing so."""

from __future__ import annotations

import collections
import hashlib
import itertools
import linecache
import os
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Final

from batchflow.definition.retry import Retry

MESSAGE_CHARACTERS: Final = 2_000
TRACEBACK_CHARACTERS: Final = 16_000
_TYPE_CHARACTERS: Final = 200
_FRAMES_AT_EACH_END: Final = 20
_MOST_CAUSES: Final = 5
_MOST_REMEMBERED: Final = 512
_OUR_FOLDERS: Final = tuple(
    os.path.join(os.path.dirname(os.path.dirname(__file__)), folder, "")
    for folder in ("worker", "chunk")
)
_VALUES = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")

Place = tuple[CodeType, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """Hold what is kept of an exception.

    ``fingerprint`` is the same for exceptions of one type from one place, whatever their messages;
    ``retryable`` tells whether the run is tried again rather than paused at once.
    """

    type: str
    message: str
    traceback: str
    fingerprint: str
    retryable: bool


class FailureRecorder:
    """Make failures of exceptions, for one step.

    A million runs may fail alike, and formatting a traceback takes longer than most steps: the
    text of the frames is remembered by the places that they stand at.
    """

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._known: collections.OrderedDict[tuple[object, ...], tuple[str, str]] = (
            collections.OrderedDict()
        )

    def record(self, error: BaseException) -> Failure:
        """Return what is kept of `error`."""
        error_type = type(error)
        message = _message(error)
        frames, fingerprint = self._frames(error, message)
        last_line = f"{error_type.__qualname__}: {message}" if message else error_type.__qualname__
        return Failure(
            type=_storable(error_type.__qualname__, _TYPE_CHARACTERS),
            message=message,
            traceback=_storable(frames, TRACEBACK_CHARACTERS - len(last_line)) + last_line,
            fingerprint=fingerprint,
            retryable=self._retry.retries(error_type),
        )

    def _frames(self, error: BaseException, message: str) -> tuple[str, str]:
        chain = list(_chain(error))
        places = tuple((type(one), *_places(one)) for one in chain)
        # Without a frame, the message's words are all that tells two failures apart.
        key = (places, None if len(places[0]) > 1 else _VALUES.sub("", message))
        if key not in self._known:
            self._known[key] = (_frames_text(chain), _fingerprint(error, key[1]))
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return self._known[key]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then what it was raised from or while handling, newest first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) < _MOST_CAUSES:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _places(error: BaseException) -> list[Place]:
    """Return where each frame of the user's stands, the first ones and the last ones."""
    steps = _users_frames(error.__traceback__)
    first = list(itertools.islice(steps, _FRAMES_AT_EACH_END))
    return first + list(collections.deque(steps, maxlen=_FRAMES_AT_EACH_END))


def _users_frames(step: TracebackType | None) -> Iterator[Place]:
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_OUR_FOLDERS):
            yield code, step.tb_lineno
        step = step.tb_next


def _frames_text(chain: list[BaseException]) -> str:
    causes = [f"{_one_text(one)}{type(one).__qualname__}\n\n" for one in reversed(chain[1:])]
    return "".join([*causes, _one_text(chain[0])])


def _one_text(error: BaseException) -> str:
    places = _places(error)
    if not places:
        return ""
    frames = [(code.co_filename, line, code.co_name, _line(code, line)) for code, line in places]
    summaries = [
        traceback.FrameSummary(file, line, name, lookup_line=False, line=text)
        for file, line, name, text in frames
    ]
    return "Traceback (most recent call last):\n" + "".join(traceback.format_list(summaries))


def _fingerprint(error: BaseException, words: str | None) -> str:
    error_type = type(error)
    parts = [error_type.__module__, error_type.__qualname__, words or ""]
    for code, line in _places(error):
        text = _line(code, line) or str(line - code.co_firstlineno)
        parts += [os.path.basename(code.co_filename), code.co_name, text]
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=6)
    return digest.hexdigest()


def _line(code: CodeType, line: int) -> str:
    return linecache.getline(code.co_filename, line).strip()


def _message(error: BaseException) -> str:
    try:
        text = str.__str__(str(error))
    except BaseException as trouble:
        text = f"<no message: its __str__ raised {type(trouble).__qualname__}>"
    return _storable(text, MESSAGE_CHARACTERS)


def _storable(text: str, characters: int) -> str:
    """Return the text cut to so many characters, and without what can't be UTF-8."""
    if len(text) > characters:
        text = text[: max(characters - 1, 0)] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")
