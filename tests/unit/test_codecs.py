"""The annotation of the message decides decoding; what does not fit is Undecodable, whatever bytes come."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.codecs import decoder_for, encode
from core_messaging.errors import Undecodable, Unencodable


class Struct(msgspec.Struct):
    id: int


@dataclasses.dataclass
class Data:
    id: int


class Typed(TypedDict):
    id: int


class Model(pydantic.BaseModel):
    id: int


GOOD: list[tuple[Any, bytes, Any]] = [
    (dict, b'{"id": 1}', {"id": 1}),
    (dict[str, int], b'{"id": 1}', {"id": 1}),
    (bytes, b"\xff", b"\xff"),
    (str, "grün".encode(), "grün"),
    (Struct, b'{"id": 1}', Struct(1)),
    (Data, b'{"id": 1}', Data(1)),
    (Typed, b'{"id": 1}', {"id": 1}),
    (Model, b'{"id": 1}', Model(id=1)),
    (list[int], b"[1]", [1]),
    (Struct | None, b"null", None),
]


@pytest.mark.parametrize(("annotation", "data", "message"), GOOD)
def test_the_annotation_decides_decoding(annotation: Any, data: bytes, message: Any) -> None:
    assert decoder_for(annotation)(data) == message


@pytest.mark.parametrize("annotation", [a for a, _, _ in GOOD if a is not bytes])
@pytest.mark.parametrize("data", [b"\xff\xfe", b"not json", b"", b'{"id": "x"', b"[" * 100_000])
def test_what_does_not_decode_is_undecodable(annotation: Any, data: bytes) -> None:
    if annotation is str and data != b"\xff\xfe":
        return
    with pytest.raises(Undecodable):
        decoder_for(annotation)(data)


@pytest.mark.parametrize("annotation", [Struct, Data, Typed, Model, dict])
@pytest.mark.parametrize("data", [b"[1]", b'"text"', b"null", b"1"])
def test_json_of_another_shape_is_undecodable(annotation: Any, data: bytes) -> None:
    with pytest.raises(Undecodable):
        decoder_for(annotation)(data)


def test_a_missing_field_is_named_without_the_content() -> None:
    for annotation in (Struct, Data, Typed, Model):
        with pytest.raises(Undecodable) as caught:
            decoder_for(annotation)(b'{"password": "hunter2"}')
        assert "id" in str(caught.value)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("annotation", [dict, bytes, str, Struct, Data, Typed, Model])
def test_a_tombstone_is_undecodable_unless_none_is_asked_for(annotation: Any) -> None:
    with pytest.raises(Undecodable, match="tombstone"):
        decoder_for(annotation)(None)
    assert decoder_for(Struct | None)(None) is None


@given(st.binary(max_size=200), st.sampled_from([a for a, _, _ in GOOD]))
def test_no_bytes_raise_anything_but_undecodable(data: bytes, annotation: Any) -> None:
    with contextlib.suppress(Undecodable):
        decoder_for(annotation)(data)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (b"raw", b"raw"),
        ("text", b"text"),
        ({"id": 1}, b'{"id":1}'),
        ([1, None], b"[1,null]"),
        (Struct(1), b'{"id":1}'),
        (Data(1), b'{"id":1}'),
        (Model(id=1), b'{"id":1}'),
        (0, b"0"),
    ],
)
def test_what_can_be_published(value: Any, data: bytes) -> None:
    assert encode(value) == data


@pytest.mark.parametrize("value", [object(), {1, object()}, {"f": print}, {(1, 2): 3}, "\udc80"])
def test_what_cannot_be_published_names_its_type(value: Any) -> None:
    with pytest.raises(Unencodable) as caught:
        encode(value)
    assert type(value).__name__ in str(caught.value)


def test_a_structure_that_contains_itself_cannot_be_published() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(Unencodable):
        encode(endless)
