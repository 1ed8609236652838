"""Encodes a value as JSON, and refuses values that a reader would get back as something else.

msgspec writes bytes as base64, NaN as null and some keys as another text. A reader cannot know that.
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

# JSON has a value for these, or a text that holds the whole value.
_FAITHFUL = frozenset(
    {str, int, bool, NoneType, dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, msgspec.Raw}
)
_LISTS = (list, tuple, set, frozenset, deque, UserList)
_NO_KEYS = (NoneType, bool, tuple, frozenset)  # msgspec encodes these as values, but not as keys
_MAPPINGS = (dict, MappingProxyType, ChainMap, UserDict)
_STARS = '"**********"'  # pydantic writes this for every secret


_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_Scalar = str | int | _Finite | bool | None
_Flat = _Scalar | dict[str, _Scalar] | list[_Scalar]
_Nested = _Scalar | dict[str, _Flat] | list[_Flat]


class _Plain(msgspec.Struct):
    """The values that need no further check. It is a Struct, because msgspec analyses any other type at each call."""

    value: _Scalar | dict[str, _Nested] | list[_Nested]


class NotFaithful(ValueError):
    """A reader of the JSON would get another value; the text tells what to do."""


def to_json(value: Any) -> bytes:
    """Return *value* as JSON.

    Raises NotFaithful where a reader would get another value; TypeError, or what msgspec and pydantic raise, where JSON has
    no such value.
    """
    data = _encode(value)
    if not _is_plain(value):
        _check_items((value,), declared=False)
    return data


def _is_plain(value: Any) -> bool:
    """Whether *value* needs no further check. It runs for every result, so msgspec does it, which is fast."""
    if type(value) is not dict and type(value) is not list:
        return type(value) in _FAITHFUL
    try:
        msgspec.convert({"value": value}, _Plain)
    except msgspec.ValidationError:
        return False
    return True


def _encode_other(value: Any) -> Any:
    """Return a value that msgspec can encode in place of one that it cannot."""
    if is_model(type(value)):
        text = value.model_dump_json()
        if _STARS in text and _has_secret(value.model_dump()):
            raise NotFaithful(
                "pydantic writes stars for a secret; leave it out, or give its field a @field_serializer(when_used='json')"
            )
        return msgspec.Raw(text.encode())
    if type(value) in _NO_KEYS:
        raise TypeError(f"JSON has no keys of {type(value).__qualname__}; make them texts")
    for kind in (str, int, float):  # subclasses of these that a user defines
        if isinstance(value, kind):
            return kind.__str__(value) if kind is str else kind(value)
    if isinstance(value, _MAPPINGS) and not isinstance(value, dict):
        return dict(value)
    if isinstance(value, deque | UserList):
        return list(value)
    raise TypeError(f"JSON has no {type(value).__qualname__}")


def _has_secret(value: Any) -> bool:
    """Whether *value*, the fields of a model, holds a secret of pydantic."""
    if isinstance(value, dict):
        return any(map(_has_secret, value.values()))
    if isinstance(value, _LISTS):
        return any(map(_has_secret, value))
    return hasattr(value, "get_secret_value")


_encode = msgspec.json.Encoder(enc_hook=_encode_other).encode


# Checks a value of one kind. The bool tells whether the value is in a field that is declared to hold bytes, so its reader
# knows that. Raises NotFaithful. None in place of a check: every value of the kind is right.
Check = Callable[[Any, bool], None]


def _choose_check(kind: type) -> Check | None:
    """Return the check for values of *kind*."""
    if kind in _FAITHFUL:
        return None
    if is_model(kind):
        return _check_model
    if _field_names(kind) is not None:
        return _check_fields
    checks: dict[tuple[type, ...], Check] = {
        (float, Decimal): _check_number,
        _MAPPINGS: _check_mapping,
        BYTES_LIKE: _check_bytes,
        (Enum,): _check_member,
        _LISTS: _check_items,
    }
    return next((check for kinds, check in checks.items() if issubclass(kind, kinds)), None)


def _check_number(value: Any, _declared: bool) -> None:  # noqa: FBT001 - all checks have the same signature
    if not isfinite(value):
        raise NotFaithful(
            f"JSON has no {float(value)}, and null is another value; leave it out, or publish a text"
        )


def _check_bytes(_value: Any, declared: bool) -> None:  # noqa: FBT001 - as above
    if not declared:
        raise NotFaithful(
            "JSON has no bytes; decode them to a text, or publish a Struct or a dataclass with a field of bytes (base64)"
        )


def _check_member(value: Any, _declared: bool) -> None:  # noqa: FBT001 - as above
    _check_items((value.value,), declared=False)


def _check_model(value: Any, _declared: bool) -> None:  # noqa: FBT001 - as above
    # pydantic writes bytes in its own way, or refuses them. It does not refuse NaN.
    _check_items((value.model_dump(),), declared=True)


def _check_mapping(value: Any, declared: bool) -> None:  # noqa: FBT001 - as above
    for key in value:
        if type(key) is not str:
            _check_keys(value)
            break
    _check_items(value.values(), declared)


def _check_fields(value: Any, _declared: bool) -> None:  # noqa: FBT001 - as above
    kind = type(value)
    for name in _field_names(kind) or ():
        found = getattr(value, name, None)
        if type(found) not in _FAITHFUL:
            _check_items((found,), name in _fields_of_bytes(kind))


def _check_items(values: Iterable[Any], declared: bool) -> None:  # noqa: FBT001 - as above
    for value in values:
        kind = type(value)
        if kind in _FAITHFUL:
            continue
        check = _check_for(kind)
        if check is not None:
            check(value, declared)


def _check_keys(mapping: Mapping[Any, Any]) -> None:
    _check_items(mapping, declared=False)
    written = msgspec.json.decode(msgspec.json.encode(dict.fromkeys(mapping)))
    if len(written) != len(mapping):
        raise NotFaithful("two of its keys are the same text in JSON, as 1 and '1' are; make all keys texts")


def _find_field_names(kind: Any) -> tuple[str, ...] | None:
    """Return the names of the fields that a class declares; None if it declares none."""
    if issubclass(kind, msgspec.Struct):
        return tuple(kind.__struct_fields__)
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(field.name for field in kind.__attrs_attrs__)
    return getattr(kind, "_fields", None) if issubclass(kind, tuple) else None


def _find_fields_of_bytes(kind: type) -> frozenset[str]:
    """Return the names of those fields of *kind* whose type holds bytes."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception:
        return frozenset(_field_names(kind) or ())
    return frozenset(
        name
        for name, hint in hints.items()
        if any(bare(part) is kind for part in parts(hint) for kind in BYTES_LIKE)
    )


# These are called for each value that is not plain, so their results are cached. The types are written here, because a
# cache accepts any hashable argument.
_check_for: Callable[[type], Check | None] = lru_cache(1000)(_choose_check)
_field_names: Callable[[type], tuple[str, ...] | None] = lru_cache(1000)(_find_field_names)
_fields_of_bytes: Callable[[type], frozenset[str]] = lru_cache(1000)(_find_fields_of_bytes)
