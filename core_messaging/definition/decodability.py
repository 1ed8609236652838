"""Tells whether a message can be decoded to an annotation, and by what: msgspec, pydantic, or both."""

from __future__ import annotations

import collections.abc
import inspect
import sys
from enum import Enum
from importlib import import_module
from typing import Annotated, Any, get_args, get_origin

import msgspec
import msgspec.inspect as mi

from core_messaging.definition.annotations import bare, declares_fields, one_line, parts, without_none

RAW = (bytes, bytearray, memoryview, str)  # these get the bytes of the record, without JSON

_BYTES = (mi.BytesType, mi.ByteArrayType, mi.MemoryViewType)
_KEYS = (
    mi.StrType, mi.IntType, mi.FloatType, mi.EnumType, mi.LiteralType, mi.DateType, mi.TimeType, mi.DateTimeType,
    mi.TimeDeltaType, mi.UUIDType, mi.DecimalType, mi.AnyType, mi.UnionType,
)  # fmt: skip
_NO_KEY = "a key of a JSON object is a text; write str, int or another type that can be written as text"
_NOT_HASHABLE = "the items of a set have to be hashable; write list, or a frozen class"
_NO_BYTES = "JSON has no bytes; write str, or take the whole message as bytes"
_UNHASHABLE = (mi.ListType, mi.SetType, mi.DictType, mi.TypedDictType)
_SETS = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)

# Types that validators accept without a look at their items, or that no JSON can become.
_LAZY = frozenset(
    {
        collections.abc.Iterable,
        collections.abc.Iterator,
        collections.abc.Generator,
        collections.abc.AsyncIterable,
        collections.abc.AsyncIterator,
        collections.abc.Awaitable,
        collections.abc.Callable,
    }
)


class Way(Enum):
    """By what a message is decoded to an annotation."""

    RAW = "the bytes as they are"
    MSGSPEC = "msgspec"
    MODEL = "a pydantic model"
    ADAPTER = "pydantic, for models inside another type"
    MIXED = "msgspec, and pydantic for the models inside"


class NotDecodable(TypeError):
    """No message can be decoded to an annotation; the text tells why."""


def way_of(annotation: Any) -> Way:
    """Return by what a message is decoded to *annotation*. Raises NotDecodable."""
    inner = bare(without_none(annotation))
    if any(inner is kind for kind in RAW):
        return _raw(annotation)
    found = list(parts(annotation))
    for part in found:
        _refuse_unfinished(part)
    if is_model(annotation):
        return Way.MODEL
    lazy = next((part for part in found if _one_of(get_origin(part) or part, _LAZY)), None)
    if lazy is not None:
        raise NotDecodable(f"nothing in JSON is a {_spelled(lazy)}; write list[...] or Sequence[...]")
    if any(is_pydantics(part) for part in found):
        return _with_pydantic(annotation, found)
    _ask_msgspec(annotation)
    return Way.MSGSPEC


def _one_of(kind: Any, kinds: collections.abc.Collection[Any]) -> bool:
    """Whether *kind* is one of *kinds*. Unlike ``in``, it also works for ``[dict]``, which cannot be hashed."""
    return any(kind is each for each in kinds)


def _raw(annotation: Any) -> Way:
    extras = [extra for part in parts(annotation) for extra in _extras(part)]
    if any(isinstance(extra, msgspec.Meta) or _is_pydantics_extra(extra) for extra in extras):
        raise NotDecodable("bytes and text are not decoded, so nothing would check what Annotated adds")
    return Way.RAW


def _refuse_unfinished(part: Any) -> None:
    """Raise NotDecodable for a class that has no instances: an abstract one, or a model that is not complete."""
    if not isinstance(part, type):
        return
    if inspect.isabstract(part) and (declares_fields(part) or is_model(part)):
        raise NotDecodable(f"{part.__qualname__} is abstract; write a class that can have instances")
    if not is_model(part):
        return
    if part is import_module("pydantic").BaseModel:
        raise NotDecodable("BaseModel has no fields; write a model of your own")
    model: Any = part
    if not model.__pydantic_complete__ and not model.model_rebuild(raise_errors=False):
        raise NotDecodable(
            f"{part.__qualname__} refers to a name that is not defined here; define that name first"
        )


def _refuse_bytes_in_json(annotation: Any) -> None:
    for part in parts(annotation, fields=False):
        if any(bare(part) is kind for kind in RAW if kind is not str):
            raise NotDecodable(_NO_BYTES)


def _with_pydantic(annotation: Any, found: list[Any]) -> Way:
    _refuse_bytes_in_json(annotation)
    for part in parts(annotation):
        _refuse_impossible(part)
    try:
        import_module("pydantic").TypeAdapter(annotation)
    except Exception as error:
        # pydantic does not support Struct and attrs classes. msgspec does, and calls pydantic for each model inside.
        unchecked = [part for part in found if is_pydantics(part) and not is_model(part)]
        if unchecked:
            raise NotDecodable(
                f"{_spelled(unchecked[0])} is checked by pydantic only, and pydantic cannot read the rest: {one_line(error)}"
            ) from error
        _ask_msgspec(annotation)
        return Way.MIXED
    return Way.ADAPTER


def _refuse_impossible(part: Any) -> None:
    """Raise NotDecodable for a type that pydantic accepts but that no JSON value has."""
    kind, inside = get_origin(part), get_args(part)
    if kind is type:
        raise NotDecodable(f"nothing in JSON is a class; {_spelled(part)} asks for one")
    if not inside or kind is None:
        return
    if kind in _OBJECTS and _is_composite(bare(inside[0])):
        raise NotDecodable(_NO_KEY)
    if kind in _SETS and _cannot_be_hashed(bare(inside[0])):
        raise NotDecodable(_NOT_HASHABLE)


def _is_composite(key: Any) -> bool:
    """Whether JSON writes *key* as an object or a list, which cannot be the key of an object."""
    kind = get_origin(key) or key
    return isinstance(kind, type) and (
        is_model(kind) or declares_fields(kind) or issubclass(kind, dict | list | tuple | set | frozenset)
    )


def _cannot_be_hashed(item: Any) -> bool:
    kind = get_origin(item) or item
    return isinstance(kind, type) and getattr(kind, "__hash__", None) is None


def _ask_msgspec(annotation: Any) -> None:
    try:
        info = mi.type_info(annotation)
        msgspec.json.Decoder(annotation)
    except Exception as error:
        raise NotDecodable(one_line(error)) from error
    _Inspection().check(info)


class _Inspection:
    """Walks through the types that msgspec found, and looks at a class that refers to itself only once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def check(self, info: Any, *, in_fields: bool = False) -> None:
        if id(info) in self._seen:
            return
        self._seen.add(id(info))
        self._refuse(info, in_fields=in_fields)
        declares_fields = isinstance(info, mi.StructType | mi.DataclassType | mi.NamedTupleType)
        for child in _children(info):
            self.check(child, in_fields=in_fields or declares_fields)

    def _refuse(self, info: Any, *, in_fields: bool) -> None:
        if isinstance(info, mi.CustomType) and info.cls is not object and not is_model(info.cls):
            raise NotDecodable(f"nothing can be decoded to {info.cls.__module__}.{info.cls.__qualname__}")
        if isinstance(info, _BYTES) and not in_fields:
            raise NotDecodable(_NO_BYTES)
        if isinstance(info, mi.SetType | mi.FrozenSetType) and _unhashable(info.item_type):
            raise NotDecodable(_NOT_HASHABLE)
        if isinstance(info, mi.DictType) and not _is_key(info.key_type):
            raise NotDecodable(_NO_KEY)


def _children(info: Any) -> list[Any]:
    if isinstance(info, mi.StructType | mi.DataclassType | mi.NamedTupleType | mi.TypedDictType):
        return [field.type for field in info.fields]
    if isinstance(info, mi.UnionType):
        return list(info.types)
    if isinstance(info, mi.TupleType):
        return list(info.item_types)
    if isinstance(info, mi.DictType):
        return [info.key_type, info.value_type]
    inner = getattr(info, "item_type", None) or getattr(info, "type", None)
    return [] if inner is None else [inner]


def _unhashable(info: Any) -> bool:
    if isinstance(info, _UNHASHABLE):
        return True
    named = getattr(info, "cls", None)
    cls: Any = get_origin(named) or named
    if isinstance(info, mi.StructType):
        return bool(cls.__struct_config__.eq and not cls.__struct_config__.frozen)
    return isinstance(cls, type) and cls.__hash__ is None


def _is_key(info: Any) -> bool:
    if isinstance(info, mi.UnionType):
        return all(_is_key(kind) for kind in info.types)
    return isinstance(info, _KEYS) or (isinstance(info, mi.CustomType) and info.cls is object)


def is_model(annotation: Any) -> bool:
    """Whether *annotation* is a pydantic model."""
    # A class can only be a pydantic model if pydantic is imported. This module does not import it: the start would be slower.
    pydantic = sys.modules.get("pydantic")
    return (
        pydantic is not None and isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
    )


def is_pydantics(part: Any) -> bool:
    """Whether only pydantic checks *part*: a model, a pydantic dataclass, or a type or constraint that it defines."""
    if isinstance(part, type):
        return is_model(part) or any(
            hasattr(part, name) for name in ("__pydantic_validator__", "__get_pydantic_core_schema__")
        )
    return any(_is_pydantics_extra(extra) for extra in _extras(part))


def _extras(part: Any) -> tuple[Any, ...]:
    return tuple(get_args(part)[1:]) if get_origin(part) is Annotated else ()


def _is_pydantics_extra(extra: Any) -> bool:
    kind = extra if isinstance(extra, type) else type(extra)
    return kind.__module__.partition(".")[0] in ("pydantic", "annotated_types") or hasattr(
        kind, "__get_pydantic_core_schema__"
    )


def _spelled(part: Any) -> str:
    return part.__qualname__ if isinstance(part, type) and not get_args(part) else str(part)
