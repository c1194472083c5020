"""Find out whether the objects of a class can be views that read their fields on demand."""

from __future__ import annotations

import abc
from inspect import getattr_static

# Attributes of a class that a view would bypass, or that would notice the view's class.
_HOOKS = frozenset(
    {
        "__class__",
        "__delattr__",
        "__getattribute__",
        "__init_subclass__",
        "__new__",
        "__post_init__",
        "__setattr__",
    }
)


def is_built_whole(object_type: type) -> bool:
    """Return whether runs get instances created by the class itself, rather than views.

    This is so if the class is frozen, or has ``__slots__``, ``__post_init__``, an ``__init__`` of
    its own, attribute hooks, a custom metaclass, or a descriptor in place of a field.
    """
    ways = (_has_hooks, _has_slots, _has_init_of_its_own, _has_descriptors)
    return type(object_type) not in (type, abc.ABCMeta) or any(way(object_type) for way in ways)


def _has_hooks(object_type: type) -> bool:
    return any(_HOOKS & vars(base).keys() for base in object_type.__mro__ if base is not object)


def _has_slots(object_type: type) -> bool:
    return not object_type.__dictoffset__ or any(
        vars(base).get("__slots__") for base in object_type.__mro__
    )


def _has_init_of_its_own(object_type: type) -> bool:
    made_by_dataclass: bool = object_type.__dataclass_params__.init  # type: ignore[attr-defined]
    return not made_by_dataclass or "__dataclass_params__" not in vars(object_type)


def _has_descriptors(object_type: type) -> bool:
    names = object_type.__dataclass_fields__  # type: ignore[attr-defined]
    values = (getattr_static(object_type, name, None) for name in names)
    return any(hasattr(type(value), "__get__") for value in values)
