"""Decodes the bytes of a record to the type of the handler's annotation, and encodes results to bytes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import msgspec

from core_messaging.definition.annotations import bare, one_line, takes_none, without_none
from core_messaging.definition.decodability import Way, way_of
from core_messaging.definition.json_values import BYTES_LIKE, to_json
from core_messaging.errors import Undecodable, Unencodable, cause_of

Decoder = Callable[[bytes | None], Any]
Encoder = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Codec:
    """A format of messages. A plugin registers it, and a worker chooses it by its name.

    *decode* gets the value of a record and the annotation of the worker's message (without its ``| None``), and returns the
    message. If it raises, the message is undecodable. *encode* gets a result and returns the bytes for the output topic. If it
    raises, the message is given up, because the next attempt would raise too. Both are plain functions and run on the event
    loop.
    """

    decode: Callable[[bytes, Any], Any]
    encode: Callable[[Any], bytes]

    def decoder_for(self, annotation: Any) -> Decoder:
        """Return a decoder for *annotation*, which raises Undecodable only. ``X | None`` also accepts a tombstone."""
        may_be_none, kind = takes_none(annotation), bare(without_none(annotation))

        def decoder(data: bytes | None) -> Any:
            if data is None:
                return _tombstone(may_be_none)
            try:
                return self.decode(data, kind)
            except Undecodable:
                raise
            except BaseException as error:  # also SystemExit: one message must not end the worker
                raise Undecodable(f"the codec raised {cause_of(error)}") from error

        return decoder

    def encoder(self, value: Any) -> bytes:
        """Return *value* encoded. Raises Unencodable only."""
        try:
            data = self.encode(value)
        except BaseException as error:  # also SystemExit, as in decoder_for
            raise Unencodable(type(value).__name__, f"the codec raised {cause_of(error)}") from error
        if not isinstance(data, bytes):
            if inspect.iscoroutine(data):
                data.close()
            raise Unencodable(type(value).__name__, f"the codec returned {type(data).__name__}, not bytes")
        return data


def decoder_for(annotation: Any) -> Decoder:
    """Return the function that decodes the value of a record to *annotation*. The function raises Undecodable.

    ``bytes``, ``bytearray``, ``memoryview`` and ``str`` get the value as it is. All other annotations are for JSON: ``dict``
    (the default), a msgspec Struct, a dataclass, a TypedDict, an attrs class, a pydantic model, and what is built of them
    (``list[int]``, ``X | Y``, ``Annotated``, ``NewType``). ``X | None`` also accepts a tombstone (a record without a value).

    Raises NotDecodable (a TypeError) if no value can be decoded to *annotation*.
    """
    match way_of(annotation):
        case Way.RAW:
            return _raw(annotation)
        case Way.MODEL:
            return _pydantic(
                bare(annotation).model_validate_json, bare(annotation).__name__, may_be_none=False
            )
        case Way.ADAPTER:
            adapter = import_module("pydantic").TypeAdapter(annotation)
            return _pydantic(adapter.validate_json, str(annotation), may_be_none=takes_none(annotation))
        case Way.MIXED:
            return _Json(annotation, dec_hook=_model_inside)
        case Way.MSGSPEC:
            return _Json(annotation)


def encode(value: Any) -> bytes:
    """Return *value* as bytes: bytes (also ``bytearray`` and ``memoryview``) and str as they are, all else as JSON.

    Raises Unencodable, also if a reader would get another value back: for NaN, bytes inside a dict, or two keys that are the
    same text in JSON.
    """
    if isinstance(value, BYTES_LIKE):
        return bytes(value)
    try:
        return value.encode() if isinstance(value, str) else to_json(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Unencodable(type(value).__name__, one_line(error)) from error


def _raw(annotation: Any) -> Decoder:
    kind, may_be_none = bare(without_none(annotation)), takes_none(annotation)
    make: Decoder = {bytes: _bytes, str: _text}.get(kind, kind)
    if make in (_bytes, _text) and not may_be_none:
        return make  # without a wrapper, which would cost one function call for each message

    def decoder(data: bytes | None) -> Any:
        return _tombstone(may_be_none) if data is None else make(data)

    return decoder


def _bytes(data: bytes | None) -> bytes:
    if data is None:
        raise Undecodable("the record has no value (a tombstone), and the handler takes bytes")
    return data


def _text(data: bytes | None) -> str:
    try:
        return _bytes(data).decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"the value is not UTF-8: {error}") from error


def _tombstone(may_be_none: bool) -> None:  # noqa: FBT001 - it is known when the decoder is made
    """Decode a record without a value to None. Raises Undecodable if the annotation does not accept None."""
    if not may_be_none:
        raise Undecodable("the record has no value (a tombstone)")


class _Json:
    """Decodes JSON to *annotation*. ``straight``: msgspec's own function, which does not translate its errors."""

    __slots__ = ("straight", "takes_none")

    def __init__(self, annotation: Any, dec_hook: Callable[[type, Any], Any] | None = None) -> None:
        kind = Any if annotation is object else annotation
        self.straight: Callable[..., Any] = msgspec.json.Decoder(kind, dec_hook=dec_hook).decode
        self.takes_none = takes_none(annotation)

    def __call__(self, data: bytes | None) -> Any:
        if data is None:
            return _tombstone(self.takes_none)
        try:
            return self.straight(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable(_explain(error)) from error


def straight(decoder: Decoder) -> Decoder:
    """Return a function that decodes as *decoder* does, and saves one function call for each message if it can.

    If the function raises, call *decoder*, which raises Undecodable with the reason. A decoder that accepts a tombstone is
    returned unchanged.
    """
    return decoder.straight if isinstance(decoder, _Json) and not decoder.takes_none else decoder


def _explain(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"the JSON has another shape than the handler asks for: {error}"
    return f"the value is not JSON: {error}"


def _pydantic(validate: Callable[[bytes], Any], name: str, *, may_be_none: bool) -> Decoder:
    def decoder(data: bytes | None) -> Any:
        if data is None:
            return _tombstone(may_be_none)
        try:
            return validate(data)
        except ValueError as error:
            raise Undecodable(f"the value is no {name}: {_reasons(error)}") from error

    return decoder


def _reasons(error: ValueError) -> str:
    """Return the fields that pydantic refuses, and why. ``str(error)`` would write the message's content into the log."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}"
        for e in error.errors(include_input=False)  # type: ignore[attr-defined] # pydantic's own subclass
    )


def _model_inside(kind: Any, found: Any) -> Any:
    """Decode a pydantic model inside a type that msgspec decodes."""
    if kind is object:
        return found
    try:
        return kind.model_validate_json(msgspec.json.encode(found))
    except ValueError as error:
        raise ValueError(f"no {kind.__name__}: {_reasons(error)}") from None
