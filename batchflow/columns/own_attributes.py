"""Find attributes of an object that aren't fields, so that no assignment is lost silently."""

from __future__ import annotations

import types
from collections.abc import Collection, Iterable
from inspect import getattr_static
from typing import Any, Final

from batchflow.closest_name import did_you_mean
from batchflow.errors import InvalidObject

_METHODS: Final = (types.FunctionType, classmethod, staticmethod)


def no_such_field(object_type: type, name: str, fields: Iterable[str]) -> str:
    """Return the message for an assignment to an attribute that isn't a field."""
    names = list(fields)
    hint = did_you_mean(name, names) or f" The fields are {', '.join(names)}."
    return f"{object_type.__name__} has no field {name!r}, so its value can't be stored.{hint}"


def require_only_fields(instance: Any, fields: Collection[str], like: Any = None) -> None:
    """Check that an object has no attributes besides its fields.

    Caches of the class, such as those of ``functools.cached_property``, may be there.

    Args:
        instance: The object.
        fields: The names of its fields.
        like: An object of the class that no step has changed. It may have other attributes, which
            the class itself sets.

    Raises:
        InvalidObject: The object has another attribute.
    """
    name = extra_attribute(instance, fields, like)
    if name is not None:
        raise InvalidObject(no_such_field(type(instance), name, fields))


def extra_attribute(instance: Any, fields: Collection[str], like: Any = None) -> str | None:
    """Return the name of an attribute besides the fields, as `require_only_fields` finds it."""
    attributes: dict[str, Any] = getattr(instance, "__dict__", {})
    # An object without other attributes has as many as there are fields, which is quick to check.
    if len(attributes) <= len(fields):
        return None
    object_type = type(instance)
    if like is None and _sets_attributes_itself(object_type):
        return None
    others = attributes.keys() - set(fields) - getattr(like, "__dict__", {}).keys()
    return next((name for name in sorted(others) if not _is_cache(object_type, name)), None)


def _sets_attributes_itself(object_type: type) -> bool:
    made_by_dataclass = object_type.__dataclass_params__.init  # type: ignore[attr-defined]
    has_init = not made_by_dataclass or "__dataclass_params__" not in vars(object_type)
    return has_init or hasattr(object_type, "__post_init__")


def _is_cache(object_type: type, name: str) -> bool:
    descriptor = getattr_static(object_type, name, None)
    return hasattr(type(descriptor), "__get__") and not isinstance(descriptor, _METHODS)
