"""What is published as JSON, and whether a reader gets what was given.

msgspec writes bytes as base64, NaN as null and some keys as another text. Where the reader cannot know, that is refused.
"""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import isfinite
from types import MappingProxyType, NoneType
from typing import Annotated, Any, get_type_hints

import msgspec

from core_messaging.definition.annotations import bare, parts
from core_messaging.definition.decodability import is_model

BYTES_LIKE = (bytes, bytearray, memoryview)

# Said in JSON as they are, or as a text that holds all of it.
_FAITHFUL = frozenset(
    {str, int, bool, NoneType, dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, msgspec.Raw}
)
_LISTS = (list, tuple, set, frozenset, deque, UserList)
_NO_KEYS = (NoneType, bool, tuple, frozenset)  # msgspec knows these, as long as they are no keys
_MAPPINGS = (dict, MappingProxyType, ChainMap, UserDict)
_STARS = '"**********"'  # what pydantic writes for a secret, whatever is in it


_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_Scalar = str | int | _Finite | bool | None
_Flat = _Scalar | dict[str, _Scalar] | list[_Scalar]
_Nested = _Scalar | dict[str, _Flat] | list[_Flat]


class _Plain(msgspec.Struct):
    """A Struct, because msgspec keeps what it knows of one; it would read another type anew at each call."""

    value: _Scalar | dict[str, _Nested] | list[_Nested]


class NotFaithful(ValueError):
    """JSON would say something else than the value; the text says what to do."""


def to_json(value: Any) -> bytes:
    """*value* as JSON. Raises NotFaithful, and what msgspec and pydantic raise for what they do not know."""
    data = _encode(value)
    if not _is_plain(value):
        _look_at_items((value,), declared=False)
    return data


def _is_plain(value: Any) -> bool:
    """Whether JSON says it as it is, at first sight: this is asked of every result, so msgspec looks."""
    if type(value) is not dict and type(value) is not list:
        return type(value) in _FAITHFUL
    try:
        msgspec.convert({"value": value}, _Plain)
    except msgspec.ValidationError:
        return False
    return True


def _encode_what_msgspec_does_not_know(value: Any) -> Any:
    if is_model(type(value)):
        text = value.model_dump_json()
        if _STARS in text and _has_secret(value.model_dump()):
            raise NotFaithful(
                "pydantic writes stars for a secret; leave it out, or give its field a @field_serializer(when_used='json')"
            )
        return msgspec.Raw(text.encode())
    if type(value) in _NO_KEYS:
        raise TypeError(f"JSON has no keys of {type(value).__qualname__}; make them texts")
    for kind in (str, int, float):  # subclasses of a user's own
        if isinstance(value, kind):
            return kind.__str__(value) if kind is str else kind(value)
    if isinstance(value, _MAPPINGS) and not isinstance(value, dict):
        return dict(value)
    if isinstance(value, deque | UserList):
        return list(value)
    raise TypeError(f"JSON has no {type(value).__qualname__}")


def _has_secret(value: Any) -> bool:
    """Whether a secret of pydantic is in *value*, the fields of a model."""
    if isinstance(value, dict):
        return any(map(_has_secret, value.values()))
    if isinstance(value, _LISTS):
        return any(map(_has_secret, value))
    return hasattr(value, "get_secret_value")


_encode = msgspec.json.Encoder(enc_hook=_encode_what_msgspec_does_not_know).encode


# Looks at a value of one kind; *declared*: it stands in a field that is declared to hold bytes, so that its reader knows.
# Raises NotFaithful. None: nothing can be wrong with the kind.
Look = Callable[[Any, bool], None]


def _choose_look(kind: type) -> Look | None:
    """How to look at a value of *kind*."""
    if kind in _FAITHFUL:
        return None
    if is_model(kind):
        return _look_at_model
    if _field_names(kind) is not None:
        return _look_at_fields
    looks: dict[tuple[type, ...], Look] = {
        (float, Decimal): _look_at_number,
        _MAPPINGS: _look_at_mapping,
        BYTES_LIKE: _look_at_bytes,
        (Enum,): _look_at_member,
        _LISTS: _look_at_items,
    }
    return next((look for kinds, look in looks.items() if issubclass(kind, kinds)), None)


def _look_at_number(value: Any, _declared: bool) -> None:  # noqa: FBT001 - looks are called alike
    if not isfinite(value):
        raise NotFaithful(
            f"JSON has no {float(value)}, and null would be something else; leave it out, or publish a text"
        )


def _look_at_bytes(_value: Any, declared: bool) -> None:  # noqa: FBT001 - as above
    if not declared:
        raise NotFaithful(
            "JSON has no bytes; decode them to a text, or publish a Struct or a dataclass with a field of bytes (base64)"
        )


def _look_at_member(value: Any, _declared: bool) -> None:  # noqa: FBT001 - as above
    _look_at_items((value.value,), declared=False)


def _look_at_model(value: Any, _declared: bool) -> None:  # noqa: FBT001 - as above
    # pydantic has a text of its own for bytes, or refuses them; what it does not refuse is NaN.
    _look_at_items((value.model_dump(),), declared=True)


def _look_at_mapping(value: Any, declared: bool) -> None:  # noqa: FBT001 - as above
    for key in value:
        if type(key) is not str:
            _look_at_keys(value)
            break
    _look_at_items(value.values(), declared)


def _look_at_fields(value: Any, _declared: bool) -> None:  # noqa: FBT001 - as above
    kind = type(value)
    for name in _field_names(kind) or ():
        found = getattr(value, name, None)
        if type(found) not in _FAITHFUL:
            _look_at_items((found,), name in _fields_of_bytes(kind))


def _look_at_items(values: Iterable[Any], declared: bool) -> None:  # noqa: FBT001 - as above
    for value in values:
        kind = type(value)
        if kind in _FAITHFUL:
            continue
        look = _look_of(kind)
        if look is not None:
            look(value, declared)


def _look_at_keys(mapping: Mapping[Any, Any]) -> None:
    _look_at_items(mapping, declared=False)
    written = msgspec.json.decode(msgspec.json.encode(dict.fromkeys(mapping)))
    if len(written) != len(mapping):
        raise NotFaithful("two of its keys are the same text in JSON, as 1 and '1' are; make all keys texts")


def _find_field_names(kind: Any) -> tuple[str, ...] | None:
    """The fields that a class declares; None for a class without any."""
    if issubclass(kind, msgspec.Struct):
        return tuple(kind.__struct_fields__)
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(field.name for field in kind.__attrs_attrs__)
    return getattr(kind, "_fields", None) if issubclass(kind, tuple) else None


def _find_fields_of_bytes(kind: type) -> frozenset[str]:
    """Those of its fields whose type says that there are bytes."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception:
        return frozenset(_field_names(kind) or ())
    return frozenset(
        name
        for name, hint in hints.items()
        if any(bare(part) is kind for part in parts(hint) for kind in BYTES_LIKE)
    )


# Asked for each value that is not plain, so the answers are kept. Typed here, because a cache wants what is hashable.
_look_of: Callable[[type], Look | None] = lru_cache(1000)(_choose_look)
_field_names: Callable[[type], tuple[str, ...] | None] = lru_cache(1000)(_find_field_names)
_fields_of_bytes: Callable[[type], frozenset[str]] = lru_cache(1000)(_find_fields_of_bytes)
