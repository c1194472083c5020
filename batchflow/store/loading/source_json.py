"""JSON files as a source: numbers are read as the text that is written in the file.

DuckDB reads a number with a fraction as a DOUBLE, which keeps about 15 digits and no zeros at the
end. So where that could matter, numbers are put into quotes first.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Final

from batchflow.definition.fields import Field, FieldType, Kind
from batchflow.errors import SourceError
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.column_match import refuse_twice
from batchflow.store.loading.file_shape import (
    FILE,
    NAMED,
    WRITTEN,
    absent_mark,
    files_in_sql,
    lacked_mark,
    refused_mark,
)
from batchflow.store.loading.json_members import lacked_in_json
from batchflow.store.loading.json_text import LONG_NUMBER, with_quoted_numbers
from batchflow.store.schema.layout import literal, quote

_FILE: Final = quote(FILE)
_WRITTEN: Final = quote(WRITTEN)
# These keep how a number is spelled.
_SPELLED: Final = frozenset({Kind.STR, Kind.BYTES})
_FRACTION: Final = r"^-?[0-9]+[.eE]"
_ANY_FRACTION: Final = r"[:,\[]\s*-?[0-9]+[.eE]"
_MALFORMED: Final = re.compile(
    r"Malformed JSON in file .*at byte (\d+) in (?:line|record/value) (\d+): ([^.\n]+)\."
)
_NO_TEXT: Final = r"^[{\[tf]"
_UNCOMMON_AFTER_KEY: Final = r"\s*:\s*(-?[0-9]+[.eE]|[{\[tf])"
# A key may also be written with escapes.
_ESCAPED_KEY: Final = r'\\.(?:[^"\\]|\\.)*"'


@dataclass(frozen=True)
class _Keys:
    """The keys of a file's records, by how their values are read.

    Attributes:
        texts: Those of fields of text or bytes, and of the foreign ids, where a number's spelling
            matters.
        scalars: Those of other fields with single values.
        nested: Those of fields with other values inside.
        others: All other keys.
    """

    texts: tuple[str, ...]
    scalars: tuple[str, ...]
    nested: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class JsonShape:
    """How a JSON file is read.

    Attributes:
        keys: The keys of its records.
        partial: The keys of fields that some of its records lack.
        uncommon: Whether a record may have a number whose digits DuckDB would change, or an
            object, a list, true or false in place of a text.
        lacked: The members with a default that some of its nested values lack, each with the SQL
            of whether a record lacks it.
        numbers: The pattern of records whose numbers are put into quotes.
    """

    keys: _Keys
    partial: tuple[str, ...]
    uncommon: bool
    lacked: tuple[tuple[str, str], ...]
    numbers: str

    def table(self, files: str) -> str:
        """Return the SQL of the rows of files: nested fields as JSON, all others as text."""
        rows = _rows(files)
        lacks = (f"{lacks} AS {quote(lacked_mark(member))}" for member, lacks in self.lacked)
        others = [*(_absent(key) for key in self.partial), *lacks, *_others(self.keys)]
        if not self.uncommon:
            return _plain(rows, self.keys, others)
        return _careful(rows, self.keys, self.numbers, others)


def json_problem(error: Exception) -> str | None:
    """Return what is wrong with a JSON file; None if DuckDB doesn't state it."""
    found = _MALFORMED.search(str(error))
    if found is None:
        return None
    byte, following, problem = found.groups()
    # DuckDB names the number of the record after it.
    return (
        f"record {int(following) - 1:,} isn't valid JSON: {problem} at byte {int(byte):,} of the "
        "record; correct the record"
    )


def json_shapes(
    cursor: Cursor, paths: Sequence[str], fields: Sequence[Field], foreign_id: str
) -> list[JsonShape]:
    """Return how files are read, which takes one pass over their records.

    Args:
        cursor: A cursor of an instance that may read files.
        paths: The files.
        fields: The workflow's fields.
        foreign_id: The column with the foreign ids.

    Raises:
        SourceError: A record isn't an object, or has a key twice.
    """
    kinds = {field.name: field.type.kind for field in fields} | {foreign_id: Kind.STR}
    texts = [name for name, kind in kinds.items() if kind in _SPELLED]
    within = any(_contains_texts(field.type) for field in fields)
    numbers = f"{LONG_NUMBER}|{_ANY_FRACTION}" if within else LONG_NUMBER
    names = quote("names")
    # Records with the same keys are grouped first, because a record's own list is slow to check.
    other = f"CASE WHEN len({names}) = 0 THEN json_type(json) <> 'OBJECT' ELSE false END"
    uncommon = f"bool_or(regexp_matches(json, {literal(_uncommon(texts, numbers))}))"
    lacks = lacked_in_json(fields)
    some = "".join(f", bool_or({lack}) AS lack_{n}" for n, lack in enumerate(lacks.values()))
    alike = (
        f"SELECT {_FILE}, {names}, {uncommon} AS uncommon, bool_or({other}) AS other{some} FROM "
        f"(SELECT {_FILE}, json, json_keys(json) AS {names} FROM {_rows(files_in_sql(paths))}) "
        "GROUP BY ALL"
    )
    any_lack = "".join(f", bool_or(lack_{number})" for number in range(len(lacks)))
    found = cursor.execute(
        f"SELECT {_FILE}, flatten(list({names})), count(*), bool_or(other), bool_or(uncommon), "
        f"bool_or(len({names}) <> len(list_distinct({names}))){any_lack} "
        f"FROM ({alike}) GROUP BY ALL"
    ).fetchall()
    # A file without a record has no row. Its records have every key.
    of_files = {path: (Counter(keys), *marks) for path, keys, *marks in found}
    no_records = (Counter(kinds.keys()), 1, False, False, False)
    shapes = {path: _shape(path, kinds, *of_files.get(path, no_records)[:5]) for path in paths}
    lacked = {path: tuple(compress(lacks.items(), marks[5:])) for path, marks in of_files.items()}
    return [JsonShape(*shapes[path], lacked.get(path, ()), numbers) for path in paths]


def _contains_texts(field_type: FieldType) -> bool:
    return any(child.kind in _SPELLED or _contains_texts(child) for _, child in field_type.children)


def _shape(
    path: str,
    kinds: Mapping[str, Kind],
    found: Counter[str],
    alike: int,
    *marks: bool,
) -> tuple[_Keys, tuple[str, ...], bool]:
    """Return the keys of a file, and whether it may have a value that DuckDB would change.

    `found` counts in how many of the `alike` groups of records with the same keys a key is.
    """
    other, uncommon, twice = marks
    if other:
        raise SourceError(f"The file {path!r} has a record that isn't a JSON object.")
    if twice:
        raise SourceError(
            f"The file {path!r} has a record with a key that occurs twice. Rename one of the two."
        )
    refuse_twice(path, sorted(found))
    keys = _sorted(sorted(found), kinds)
    # Numbers were looked for after the names as the workflow spells them.
    fields = (*keys.texts, *keys.scalars, *keys.nested)
    partial = tuple(key for key in fields if found[key] < alike)
    return keys, partial, (uncommon or not kinds.keys() >= set(keys.texts))


def _rows(files: str) -> str:
    return f"read_json_objects({files}, {NAMED})"


def _uncommon(texts: Sequence[str], numbers: str) -> str:
    """Return the pattern of records with a value that DuckDB might change."""
    keys = [re.escape(json.dumps(name, ensure_ascii=False)) for name in texts]
    return f"{numbers}|({'|'.join((*keys, _ESCAPED_KEY))}){_UNCOMMON_AFTER_KEY}"


def _sorted(keys: Sequence[str], kinds: Mapping[str, Kind]) -> _Keys:
    lowered = {name.lower(): kind for name, kind in kinds.items()}
    texts: list[str] = []
    scalars: list[str] = []
    nested: list[str] = []
    others: list[str] = []
    for key in keys:
        kind = lowered.get(key.lower())
        if kind is None:
            others.append(key)
        elif kind in _SPELLED:
            texts.append(key)
        else:
            (nested if kind.nested else scalars).append(key)
    return _Keys(tuple(texts), tuple(scalars), tuple(nested), tuple(others))


def _plain(rows: str, keys: _Keys, others: Sequence[str]) -> str:
    shapes = {
        **dict.fromkeys((*keys.texts, *keys.scalars), "VARCHAR"),
        **dict.fromkeys(keys.nested, "JSON"),
    }
    read = f"from_json(json, {_structure(shapes)})"
    columns = [*(_part("read", key) for key in shapes), *others]
    return f"(SELECT {', '.join(columns)} FROM (SELECT {_FILE}, json, {read} AS read FROM {rows}))"


def _careful(rows: str, keys: _Keys, numbers: str, others: Sequence[str]) -> str:
    """Return the SQL of rows in which numbers may have to be quoted."""
    quoted = (
        f"CASE WHEN {_as_written('given', keys.texts, numbers)} "
        f"THEN {with_quoted_numbers('json')} ELSE json END"
    )
    shapes = {
        **dict.fromkeys((*keys.texts, *keys.nested), "JSON"),
        **dict.fromkeys(keys.scalars, "VARCHAR"),
    }
    exact = _structure(dict.fromkeys(keys.texts, "JSON"))
    given = f"SELECT {_FILE}, json, from_json(json, {exact}) AS given FROM {rows}"
    read = (
        f"SELECT {_FILE}, json, given, from_json({quoted}, {_structure(shapes)}) AS read "
        f"FROM ({given})"
    )
    columns = [
        *(_text(key) for key in keys.texts),
        *(_part("read", key) for key in (*keys.nested, *keys.scalars)),
        *others,
    ]
    return f"(SELECT {', '.join(columns)} FROM ({read}))"


def _text(key: str) -> str:
    """Return the SQL of a text, and of whether it is no text: an object, a list, true or false."""
    given, read = (f"struct_extract({each}, {literal(key)})" for each in ("given", "read"))
    other = f"coalesce(regexp_matches({given}, {literal(_NO_TEXT)}), false)"
    return (
        f"CASE WHEN {other} THEN CAST({given} AS VARCHAR) ELSE {read} ->> '$' END "
        f"AS {quote(key)}, {other} AS {quote(refused_mark(key))}"
    )


def _as_written(given: str, texts: Sequence[str], numbers: str) -> str:
    """Return the condition that a record has a number whose digits DuckDB might change."""
    parts = [f"regexp_matches(json, {literal(numbers)})"]
    for key in texts:
        value = f"struct_extract({given}, {literal(key)})"
        parts.append(f"coalesce(regexp_matches({value}, {literal(_FRACTION)}), false)")
    return f"({' OR '.join(parts)})"


def _structure(shapes: Mapping[str, str]) -> str:
    # A structure needs a key.
    return literal(json.dumps(dict(shapes) or {"none": "JSON"}))


def _part(struct: str, key: str) -> str:
    return f"struct_extract({struct}, {literal(key)}) AS {quote(key)}"


def _absent(key: str) -> str:
    # The key is like the name of a field, so it needs no escapes.
    path = literal(f'$."{key}"')
    return f"NOT json_exists(json, {path}) AS {quote(absent_mark(key))}"


def _others(keys: _Keys) -> list[str]:
    return [*(f"NULL AS {quote(key)}" for key in keys.others), f"json AS {_WRITTEN}", _FILE]
