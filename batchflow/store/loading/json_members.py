"""Find the members that nested values in JSON records lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchflow.definition.fields import Field, FieldType, Kind
from batchflow.store.loading.member_defaults import member_defaults
from batchflow.store.schema.layout import literal


def lacked_in_json(fields: Sequence[Field]) -> dict[str, str]:
    """Return the SQL of whether ``json`` has an object without a member that has a default.

    The conditions are by the members' names, each behind the name of the field that contains it.
    """
    return {
        f"{name}.{member}": _lacks(path, member)
        for field in fields
        for name, path, struct in _structs(field.type, field.name, f'$."{field.name}"')
        for member in member_defaults(struct)
    }


def _structs(field_type: FieldType, name: str, path: str) -> Iterator[tuple[str, str, FieldType]]:
    match field_type.kind:
        case Kind.STRUCT:
            yield name, path, field_type
            for member, child in field_type.children:
                yield from _structs(child, f"{name}.{member}", f'{path}."{member}"')
        case Kind.LIST:
            yield from _structs(field_type.child("item"), name, f"{path}[*]")
        case Kind.MAP:
            yield from _structs(field_type.child("value"), name, f"{path}.*")


def _lacks(path: str, member: str) -> str:
    found = f"json_extract(json, {literal(path)})"
    # A path with a wildcard gives a list.
    objects = found if "*" in path else f"[{found}]"
    lacks = f"json_type(one) = 'OBJECT' AND NOT list_contains(json_keys(one), {literal(member)})"
    return f"len(list_filter({objects}, lambda one: {lacks})) > 0"
