"""Bytes to messages by the handler's annotation, and results to bytes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any, Union, cast, get_args

import msgspec
import msgspec.inspect

from core_messaging.errors import Undecodable, Unencodable

Decoder = Callable[[bytes | None], Any]
Encoder = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Codec:
    """A format of messages that a plugin registers and a worker chooses by its name.

    *decode* gets a record's value and the annotation of the worker's message (without its ``| None``); what it
    raises makes the message undecodable. *encode* turns a result into what the output topic gets; what it raises
    gives the message up, because the next attempt would raise it again. Both are plain functions; they run on the
    event loop in the message's own turn.
    """

    decode: Callable[[bytes, Any], Any]
    encode: Callable[[Any], bytes]

    def decoder_for(self, annotation: Any) -> Decoder:
        """``decode`` for *annotation*: raises Undecodable only. ``X | None`` also takes a tombstone."""
        takes_none, kind = NoneType in get_args(annotation), _without_none(annotation)

        def decoder(data: bytes | None) -> Any:
            if data is None:
                return _tombstone(takes_none)
            try:
                return self.decode(data, kind)
            except Undecodable:
                raise
            except BaseException as error:  # also a SystemExit: one message must not end the worker
                raise Undecodable(f"the codec raised {type(error).__name__}: {error}") from error

        return decoder

    def encoder(self, value: Any) -> bytes:
        """``encode``: raises Unencodable only."""
        try:
            data = self.encode(value)
        except BaseException as error:  # as in decoder_for
            raise Unencodable(
                type(value).__name__, f"the codec raised {type(error).__name__}: {error}"
            ) from error
        if not isinstance(data, bytes):
            if inspect.iscoroutine(data):
                data.close()
            raise Unencodable(type(value).__name__, f"the codec returned {type(data).__name__}, not bytes")
        return data


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None``; any other annotation as it is."""
    kinds = tuple(kind for kind in get_args(annotation) if kind is not NoneType)
    if NoneType not in get_args(annotation) or not kinds:
        return annotation
    return kinds[0] if len(kinds) == 1 else Union[kinds]  # noqa: UP007 - a union of what is known only now


_PLAIN_JSON = (dict, Any, object)


def decoder_for(annotation: Any) -> Decoder:
    """The function that turns a record's value into what *annotation* asks for.

    ``bytes`` and ``str`` are taken as they are; everything else is JSON: ``dict`` (default), a msgspec Struct,
    a dataclass, a TypedDict, a pydantic model, or any type msgspec knows (``list[int]``, ``X | Y``).
    ``X | None`` also takes a tombstone (a record without a value). The decoder raises Undecodable.
    Raises TypeError where nothing can decode to *annotation*.
    """
    if annotation is bytes:
        return _bytes
    if annotation is str:
        return _str
    if _is_pydantic(annotation):
        return _pydantic(annotation)
    return _Json(dict if annotation in _PLAIN_JSON else annotation)


def encode(value: Any) -> bytes:
    """*value* as bytes: bytes and str as they are, pydantic models and everything else as JSON.

    Raises Unencodable.
    """
    if isinstance(value, bytes):
        return value
    try:
        if isinstance(value, str):
            return value.encode()
        if not isinstance(value, dict) and _is_pydantic(type(value)):
            return value.model_dump_json().encode()  # type: ignore[no-any-return] # pydantic may be absent
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Unencodable(type(value).__name__, str(error)) from error


def _bytes(data: bytes | None) -> bytes:
    if data is None:
        raise Undecodable("the record has no value (a tombstone), and the handler takes bytes")
    return data


def _str(data: bytes | None) -> str:
    try:
        return _bytes(data).decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"the value is not UTF-8: {error}") from error


def _tombstone(takes_none: bool) -> None:  # noqa: FBT001 - of the annotation, decided when the decoder is made
    """What a record without a value decodes to, where that is anything."""
    if not takes_none:
        raise Undecodable("the record has no value (a tombstone)")


class _Json:
    """JSON to what *annotation* asks for. ``straight`` is the same without the words: msgspec's own function."""

    __slots__ = ("straight", "takes_none")

    def __init__(self, annotation: Any) -> None:
        self.straight = cast("Decoder", msgspec.json.Decoder(annotation).decode)
        self.takes_none = _takes_none(annotation)

    def __call__(self, data: bytes | None) -> Any:
        if data is None:
            return _tombstone(self.takes_none)
        try:
            return self.straight(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable(_explain(error)) from error


def straight(decoder: Decoder) -> Decoder:
    """*decoder*, or what it does with a value that can be decoded, one call less: a message pays for each.

    Where it raises, *decoder* has to be asked for the reason. One that knows what a tombstone stands for stays as it is.
    """
    return decoder.straight if isinstance(decoder, _Json) and not decoder.takes_none else decoder


def _explain(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"the JSON has another shape than the handler asks for: {error}"
    return f"the value is not JSON: {error}"


def _takes_none(annotation: Any) -> bool:
    try:
        msgspec.convert(None, annotation)
    except msgspec.ValidationError:
        return False
    return True


def _is_pydantic(annotation: Any) -> bool:
    # A class can only be a pydantic model if somebody has imported pydantic; we do not, for start-up's sake.
    pydantic = sys.modules.get("pydantic")
    return (
        pydantic is not None and isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
    )


def _pydantic(model: Any) -> Decoder:
    def decoder(data: bytes | None) -> Any:
        if data is None:
            return _tombstone(takes_none=False)
        try:
            return model.model_validate_json(data)
        except ValueError as error:
            # errors() names fields and reasons; str(error) would print the message's content into logs.
            details = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}"
                for e in error.errors(include_input=False)  # type: ignore[attr-defined] # pydantic's own subclass
            )
            raise Undecodable(f"the value is no {model.__name__}: {details}") from error

    return decoder


def describes_a_message(annotation: Any) -> bool:
    """Whether *annotation* can be decoded to at all; used when a worker is defined.

    msgspec takes any class and then fails on every message: for a class it does not know, that is now.
    """
    if _is_pydantic(annotation) or annotation in _PLAIN_JSON:
        return True
    try:
        decoder_for(annotation)
        return not isinstance(msgspec.inspect.type_info(annotation), msgspec.inspect.CustomType)
    except TypeError:
        return False
