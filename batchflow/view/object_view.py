"""Objects whose fields are read from, and written to, a chunk's columns on demand.

A view's class is a subclass of the user's class, with a property for each field. Its ``__class__``
is the user's class, so user code sees an instance of that. As soon as the object is needed as a
whole (``vars``, deleting a field, writing to it after its step has ended), the view becomes a plain
instance for good: its fields are copied to its dict, and its class is changed.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from inspect import getattr_static
from typing import Any

from batchflow.columns.own_attributes import no_such_field
from batchflow.definition.fields import Field
from batchflow.view.row_columns import SealedError

ROW = "_batchflow_row"
COLUMNS = "_batchflow_columns"
NO_FIELD = (ROW, COLUMNS)

_SET_CLASS = object.__dict__["__class__"].__set__


def view_type(object_type: type, fields: Sequence[Field]) -> type[Any]:
    """Return the class of views over the columns of `fields`.

    An instance is created by ``object.__new__``. Its ``_batchflow_row`` and ``_batchflow_columns``
    (the chunk's columns, and their ``sealed`` after its step has ended) are then put into its
    `attributes_of`, because the class's ``__setattr__`` refuses what isn't a field.
    """
    shape = _Shape(object_type, fields)
    namespace = {
        "__slots__": (),
        "__setattr__": _set_attribute(shape),
        "__module__": object_type.__module__,
        "__qualname__": object_type.__qualname__,
        "__doc__": object_type.__doc__,
        "__class__": property(lambda _: object_type),
        "__dict__": property(lambda view: vars(shape.become_real(view))),
        "__reduce_ex__": lambda view, protocol: shape.copy(view).__reduce_ex__(protocol),
        **{field.name: _property(place, shape) for place, field in enumerate(fields)},
    }
    name = object_type.__name__
    return types.new_class(name, (object_type,), {}, lambda body: body.update(namespace))


def attributes_of(object_type: type) -> Callable[[Any], dict[str, Any]]:
    """Return the function that returns the dict of an instance, which its view hides."""
    owner = next(base for base in object_type.__mro__ if "__dict__" in vars(base))
    of: Callable[[Any], dict[str, Any]] = vars(owner)["__dict__"].__get__
    return of


class _Shape:
    """Converts views of one class to plain instances."""

    def __init__(self, object_type: type, fields: Sequence[Field]) -> None:
        self.object_type = object_type
        self.names = [field.name for field in fields]
        self._dict_of = attributes_of(object_type)

    def become_real(self, view: Any) -> Any:
        """Convert the view itself to a plain instance, and return it."""
        attributes = self._dict_of(view)
        row, columns = attributes[ROW], attributes[COLUMNS]
        known = self._attributes(view)
        attributes.clear()
        attributes.update(known)
        _SET_CLASS(view, self.object_type)
        columns.touch_object(row)
        return view

    def copy(self, view: Any) -> Any:
        """Return a plain instance with the same attributes; their values aren't copied."""
        real: Any = object.__new__(self.object_type)
        vars(real).update(self._attributes(view))
        return real

    def _attributes(self, view: Any) -> dict[str, Any]:
        fields = {name: getattr(view, name) for name in self.names}
        others = self._dict_of(view).items()
        return fields | {name: value for name, value in others if name not in NO_FIELD}


def _property(place: int, shape: _Shape) -> property:
    name = shape.names[place]

    def read(view: Any) -> Any:
        return view._batchflow_columns.values[place][view._batchflow_row]

    def delete(view: Any) -> None:
        delattr(shape.become_real(view), name)

    return property(read, None, delete)


def _set_attribute(shape: _Shape) -> Callable[[Any, str, Any], None]:
    """Return the views' ``__setattr__``, which writes a field to its column."""
    places = {name: place for place, name in enumerate(shape.names)}

    def set_attribute(view: Any, name: str, value: Any) -> None:
        if name not in places:
            _set_other(shape, view, name, value)
            return
        try:
            view._batchflow_columns.writes[places[name]][view._batchflow_row] = value
        except SealedError:
            setattr(shape.become_real(view), name, value)

    return set_attribute


def _set_other(shape: _Shape, view: Any, name: str, value: Any) -> None:
    """Set an attribute with a setter of its own; refuse one that would be lost."""
    if name not in NO_FIELD and not hasattr(getattr_static(type(view), name, None), "__set__"):
        raise AttributeError(no_such_field(shape.object_type, name, shape.names))
    object.__setattr__(view, name, value)
