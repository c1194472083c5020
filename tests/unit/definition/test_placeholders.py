"""Messages that differ only in values are the same; those that differ in words aren't."""

from __future__ import annotations

import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.definition.cause import Place, Raised, cause_of, place_of
from batchflow.definition.placeholders import with_placeholders, without_numbers
from kit.effort import examples

SAME = [
    ("payquick did not answer in 3.0 s", "payquick did not answer in 12.75 s"),
    ("order 17 not found", "order 40001 not found"),
    ("order #17 not found", "order 18 not found"),
    ("order 'A-17' not found", "order 'B/18 x' not found"),
    ("customer 'O'Brien' is unknown", "customer 'Smith' is unknown"),
    ("it's 'a', isn't it", "it's 'b', isn't it"),
    (repr("x"), repr("it's")),
    ("invalid literal for int() with base 10: 'abc'", "invalid literal for int() with base 10: ''"),
    (f"run {uuid.UUID(int=7)} is locked", f"run {uuid.UUID(int=1 << 99)} is locked"),
    ("commit deadbeef is missing", "commit 1234abcd is missing"),
    ("object <Order object at 0x7f12ab34> is odd", "object <Order object at 0x55aa> is odd"),
    ("[Errno 2] No such file: '/data/a.csv'", "[Errno 2] No such file: '/home/x y/b.csv'"),
    ("can't open /data/in/a.csv", "can't open ~/in/more/b.parquet"),
    ("can't open C:\\data\\a.txt", "can't open \\\\server\\share\\b.txt"),
    ("can't open orders.csv", "can't open in/2026/lines.jsonl"),
    ("503 for url: https://a.example.com/v1?x=1", "503 for url: http://10.0.0.1:80/v2/charge"),
    ("no route to 10.0.0.1:5432", "no route to db-3.eu.internal:5432"),
    ("no route to fe80::1%eth0", "no route to 2001:db8::ff00:42:8329"),
    ("no mail to joe.smith@example.com", "no mail to a+b@mail.example.org"),
    ("late since 2026-11-29T06:11:43.123Z", "late since 2025-01-01 00:00:00"),
    ("late since 29 Nov 2026 06:11 UTC", "late since 1 Feb 2025 23:59 UTC"),
    ("late since Mon, 29 Nov 2026", "late since Tue, 3 Feb 2025"),
    ("late since 11/29/2026", "late since 2026-11-29"),
    ("took 2 days, 3:04:05", "took 0:00:01.5"),
    ("rows 1, 2, 3 are empty", "rows 17 are empty"),
    ("rows 1 and 2 are empty", "rows 17 are empty"),
    ("rows [1, 2, ..., 9] are empty", "rows [3] are empty"),
    ("columns {'a', 'b'} are missing", "columns {'c'} are missing"),
    ("bad record {'id': 1, 'name': 'x'}", "bad record {'id': None, 'items': [1, 2], 'p': (1, 2)}"),
    ("bad records [{'a': 1}, {'a': 2}]", "bad records [{'a': 1}]"),
    (
        'duplicate key violates "orders_pkey"\nDETAIL:  Key (id)=(123) already exists.',
        'duplicate key violates "lines_pkey" DETAIL: Key (id)=(Jane Doe) already exists.',
    ),
    ("price 1,234.56 exceeds -5", "price 0.1 exceeds 1e-05"),
    ("f() takes 2 positional arguments but 3 were given",) * 2,
    ("token dGhpcyBpcyBhIHRlc3Q= expired", "token QUJDREVGR0hJSktMTU5P= expired"),
    ("id 01ARZ3NDEKTSV4RRFFQ69G5FAV unknown", "id 550e8400e29b41d4a716446655440000 unknown"),
    ("sku ab_12 unknown", "sku 7 unknown"),
    ("payload '" + "x" * 1_500, "payload '" + "y z" * 400),
    ("call +49 30 123 456", "call +1 (555) 0100"[:8]),
    ("datetime.datetime(2026, 11, 29, 6, 11) is late", "datetime.datetime(2025, 1, 1) is late"),
    ("a\n  line  1", "a line 2"),
    (
        "HTTPSConnectionPool(host='a.example.com', port=443): Max retries exceeded with url: /v1/1",
        "HTTPSConnectionPool(host='b', port=80): Max retries exceeded with url: /v1/charge/2?x=3",
    ),
]
DIFFERENT = [
    ("order 17 not found", "customer 17 not found"),
    ("order 17 not found", "order 17 not paid"),
    ("order not found", "order found"),
    ("'a' is not a number", "'a' is not a date"),
    ("Read timed out after 3 s", "Connect timed out after 3 s"),
    ("404 Client Error: Not Found for url: /a", "500 Server Error: Internal for url: /a"),
    ("expected int64, found string", "expected int32, found string"),
    ("can't decode utf-8", "can't decode utf-16"),
    ("'x' must be application/json", "'x' must be text/html"),
    ("can't read /a/b", "can't write /a/b"),
    ("self.order.total is None", "self.order.price is None"),
    ("connection refused by 10.0.0.1", "connection reset by 10.0.0.1"),
    ("", "0"),
    ("KeyError: 'a'", "IndexError: 'a'"),
    ("decade 3 closed", "facade 3 closed"),
    ("[1] is empty", "{'a'} is empty"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_values_make_no_difference(one: str, other: str) -> None:
    assert with_placeholders(one) == with_placeholders(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_words_make_a_difference(one: str, other: str) -> None:
    assert with_placeholders(one) != with_placeholders(other)


WORDS = st.sampled_from(
    [
        "order",
        "customer",
        "not",
        "found",
        "is",
        "Timeout",
        "didn't",
        "the",
        "provider",
        "für",
        "locked",
    ]
)
SEGMENTS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)
VALUES = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.uuids().map(str),
    st.uuids().map(lambda value: value.hex),
    st.binary(min_size=8, max_size=32).map(bytes.hex),
    st.datetimes().map(str),
    st.datetimes().map(lambda value: value.isoformat()),
    st.timedeltas().map(str),
    st.ip_addresses().map(str),
    st.integers(0).map(hex),
    st.lists(SEGMENTS, min_size=2).map(lambda parts: "/" + "/".join(parts)),
    st.lists(SEGMENTS, min_size=2).map(lambda parts: "C:\\" + "\\".join(parts)),
    st.lists(SEGMENTS, min_size=1).map(lambda parts: f"https://{parts[0]}/{'/'.join(parts)}"),
    SEGMENTS.map(lambda name: f"{name.strip('-_') or 'x'}@mail.example.com"),
)


def message(words: list[str], values: list[str]) -> str:
    between = [f"{word} {value}" for word, value in zip(words, values, strict=False)]
    return " ".join([*between, words[-1]])


@examples(100)
@given(st.lists(WORDS, min_size=1, max_size=6), st.data())
def test_other_values_never_change_a_message(words: list[str], data: st.DataObject) -> None:
    some = st.lists(VALUES, min_size=len(words), max_size=len(words))
    one, other = (message(words, data.draw(some)) for _ in range(2))
    assert with_placeholders(one) == with_placeholders(other)


@examples(100)
@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=6), VALUES)
def test_other_words_always_change_a_message(one: list[str], other: list[str], value: str) -> None:
    texts = (" ".join([*words, "code", value]) for words in (one, other))
    assert (len({with_placeholders(text) for text in texts}) == 1) is (one == other)


@examples(100)
@given(st.text(), st.text())
def test_what_has_the_same_key_has_the_same_placeholders(one: str, other: str) -> None:
    assert with_placeholders(one) == with_placeholders(without_numbers(one))
    if without_numbers(one) == without_numbers(other):
        assert with_placeholders(one) == with_placeholders(other)


def test_a_cause_has_its_line_but_not_its_number_or_folder() -> None:
    def cause(line: int, source: str, folder: str = "/a", function: str = "charge") -> str:
        place = Place(f"{folder}/provider.py", function, line, source)
        return cause_of(Raised("TimeoutError", "no answer in 3 s", place)).id

    assert cause(7, "raise x") == cause(8, "raise x", "/b")
    assert len({cause(7, "raise x"), cause(7, "raise y"), cause(7, "raise x", "/a", "pay")}) == 3


def test_a_cause_is_described_in_one_line() -> None:
    place = Place("/a/provider.py", "charge", 41, "raise TimeoutError")
    error = Raised("errors.NoAnswer", "payquick did\nnot answer in 3 s", place)
    root = Raised("TimeoutError", "timed out after 3.5 s")
    assert cause_of(error).description == (
        "NoAnswer in charge, provider.py:41: payquick did not answer in # s"
    )
    whole = cause_of(error, root)
    assert whole.description.endswith("in # s; from TimeoutError: timed out after # s")
    assert whole.id != cause_of(error).id
    assert whole.id == cause_of(error, Raised("TimeoutError", "timed out after 9 s")).id


def test_the_place_of_a_cause_is_in_the_users_code() -> None:
    own, installed, standard = (
        Place(file, "f", 1, "x")
        for file in ("/home/a/pipeline.py", "/v/lib/site-packages/requests/api.py", string.__file__)
    )
    assert place_of([own, installed, standard]) is own
    assert place_of([installed, standard]) is installed
    assert place_of([]) is None
    cell = Place("/tmp/ipykernel_17/123456.py", "f", 3, "x")
    assert cause_of(Raised("E", "", cell)).description == "E in f, notebook:3"
