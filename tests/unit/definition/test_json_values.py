"""What is published is what was given, for a reader of the same type; what JSON cannot say is refused."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import enum
import math
import re
import types
import uuid
from decimal import Decimal
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging import worker
from core_messaging.codecs import decoder_for, encode
from core_messaging.errors import Unencodable
from core_messaging.publishing.outgoing import outgoing
from core_messaging.testing import run


class Model(pydantic.BaseModel):
    id: int = 1
    at: dt.datetime | None = None
    share: float = 0.5


class Struct(msgspec.Struct):
    value: Any


class Blob(msgspec.Struct):
    data: bytes


class Many(msgspec.Struct):
    blobs: list[bytes]
    share: float


@dataclasses.dataclass
class Data:
    value: Any


@dataclasses.dataclass
class Holder:
    model: Model
    more: list[Model]


@dataclasses.dataclass
class DataBlob:
    data: bytearray


@attrs.define
class Attrs:
    value: Any


class Named(NamedTuple):
    value: Any


class Plain(enum.Enum):
    A = "a"
    NAN = math.nan


class Mixed(str, enum.Enum):  # noqa: UP042 - how it is spelled is what is tested
    A = "a"


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Float(float):
    pass


AT = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


def named(case: object) -> str:
    """A name for the test that is the same in each process: without the address of an object."""
    return re.sub(r" at 0x\w+", "", repr(case))[:40]


SAID: list[tuple[Any, bytes]] = [
    (b"raw", b"raw"),
    (bytearray(b"raw"), b"raw"),
    (memoryview(b"raw"), b"raw"),
    (memoryview(b"abcd")[::2], b"ac"),
    (memoryview(array.array("H", [1])), array.array("H", [1]).tobytes()),
    ("text", b"text"),
    (Text("text"), b"text"),
    (Mixed.A, b"a"),
    ([Text("a"), Number(1), Float(0.5)], b'["a",1,0.5]'),
    ({Text("k"): Mixed.A, "p": Plain.A}, b'{"k":"a","p":"a"}'),
    (Model(), b'{"id":1,"at":null,"share":0.5}'),
    ([Model()], b'[{"id":1,"at":null,"share":0.5}]'),
    ({"a": {"b": (Model(id=2),)}}, b'{"a":{"b":[{"id":2,"at":null,"share":0.5}]}}'),
    (Holder(Model(), [Model(id=2)]), b'{"model":{"id":1,"at":null,"share":0.5},"more":[{"id":2,"at":null,"share":0.5}]}'),
    (Struct(Model(at=AT)), b'{"value":{"id":1,"at":"2026-01-02T03:04:05.000006Z","share":0.5}}'),
    (Attrs(Model()), b'{"value":{"id":1,"at":null,"share":0.5}}'),
    (Named([1]), b"[[1]]"),
    ({1}, b"[1]"),
    (frozenset({"a"}), b'["a"]'),
    (collections.deque([1, 2]), b"[1,2]"),
    (types.MappingProxyType({"a": 1}), b'{"a":1}'),
    (collections.ChainMap({"a": 1}), b'{"a":1}'),
    (collections.defaultdict(int, a=1), b'{"a":1}'),
    ({1: "a", 2: "b"}, b'{"1":"a","2":"b"}'),
    ({dt.date(2020, 1, 2): 1}, b'{"2020-01-02":1}'),
    ({"at": AT, "cost": Decimal("1.10")}, b'{"at":"2026-01-02T03:04:05.000006Z","cost":"1.10"}'),
    ({"id": uuid.UUID(int=0), "in": dt.timedelta(days=1)}, b'{"id":"00000000-0000-0000-0000-000000000000","in":"P1D"}'),
    (Blob(b"hi"), b'{"data":"aGk="}'),
    ([Blob(b"hi")], b'[{"data":"aGk="}]'),
    (DataBlob(bytearray(b"hi")), b'{"data":"aGk="}'),
    (Many([b"hi"], 0.5), b'{"blobs":["aGk="],"share":0.5}'),
    (2**70, b"1180591620717411303424"),
    (None, b"null"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "data"), SAID, ids=named)
def test_what_is_published_is_what_was_given(value: Any, data: bytes) -> None:
    assert encode(value) == data


class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")

    share: float


class Login(pydantic.BaseModel):
    password: pydantic.SecretStr


class Logins(pydantic.BaseModel):
    logins: list[Login]


class Told(Login):
    @pydantic.field_serializer("password", when_used="json")
    def tell(self, password: pydantic.SecretStr) -> str:
        return password.get_secret_value()


REFUSED: list[tuple[Any, str]] = [
    *[(wrap(Login(password=pydantic.SecretStr("word"))), "pydantic writes stars for a secret")
      for wrap in (lambda m: m, lambda m: [m], Struct, lambda m: Logins(logins=[m]))],
    *[(wrap(number), "JSON has no (nan|inf|-inf)") for number in (math.nan, math.inf, -math.inf, Decimal("NaN"), Float("nan"))
      for wrap in (lambda n: n, lambda n: [n], lambda n: {"a": [{"b": n}]}, Struct, Data, Attrs, Named, lambda n: {n})],
    *[(Model(share=number), "JSON has no") for number in (math.nan, math.inf)],
    ([Model(share=math.nan)], "JSON has no nan"),
    (Struct([Model(share=math.nan)]), "JSON has no nan"),
    (Loose(share=math.nan), "JSON has no nan"),
    (Many([], math.nan), "JSON has no nan"),
    (Plain.NAN, "JSON has no nan"),
    ({math.nan: 1}, "JSON has no nan"),
    *[(wrap(raw), "JSON has no bytes") for raw in (b"raw", bytearray(b"raw"), memoryview(b"raw"))
      for wrap in (lambda r: [r], lambda r: {"a": r}, lambda r: {"a": {"b": [r]}}, Struct, Data, lambda r: (r,))],
    ({b"k": 1}, "JSON has no bytes"),
    ({1: "a", "1": "b"}, "two of its keys"),
    ({Plain.A: 1, "a": 2}, "two of its keys"),
    ({True: 1}, "keys"),
    ({None: 1}, "keys"),
    ({(1, 2): 1}, "keys"),
    ((n for n in [1]), "JSON has no generator"),
    (1j, "JSON has no complex"),
    (object(), "JSON has no object"),
    ([object], "JSON has no type"),
    (range(3), "JSON has no range"),
    (array.array("H", [1]), "JSON has no array"),
]  # fmt: skip


def test_a_secret_is_published_where_its_model_says_how() -> None:
    assert encode(Told(password=pydantic.SecretStr("word"))) == b'{"password":"word"}'


def test_stars_that_hide_no_secret_are_published() -> None:
    assert encode({"text": "**********", "model": Model(id=1)}).startswith(b'{"text":"**********"')


@pytest.mark.parametrize(("value", "says"), REFUSED, ids=named)
def test_what_json_cannot_say_is_refused_and_told(value: Any, says: str) -> None:
    with pytest.raises(Unencodable, match=says) as caught:
        encode(value)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")) | st.integers(), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def texts_for_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): texts_for_keys(item) for key, item in value.items()}
    return [texts_for_keys(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_whatever_is_published_is_read_back_or_refused(value: Any) -> None:
    try:
        data = encode(value)
    except Unencodable:
        return
    if isinstance(value, bytes | str):
        assert data == (value if isinstance(value, bytes) else value.encode())
    else:
        assert decoder_for(Any)(data) == texts_for_keys(value)


@given(
    st.binary(), st.lists(st.binary(max_size=5), max_size=3), st.floats(allow_nan=False, allow_infinity=False)
)
def test_a_typed_reader_gets_the_very_same(data: bytes, blobs: list[bytes], share: float) -> None:
    for value in (Blob(data), Many(blobs, share), Model(share=share)):
        assert decoder_for(type(value))(encode(value)) == value


@pytest.mark.parametrize("value", [bytearray(b"raw"), memoryview(b"raw")])
def test_bytes_of_every_kind_are_sent_and_returned_raw(value: Any) -> None:
    assert outgoing("t", value).value == b"raw"

    @worker(topic="t", output_topic="out")
    async def give(message: dict[str, int]) -> Any:
        return value

    assert [record.value for record in run(give, [{"n": 1}]).results] == [b"raw"]


@pytest.mark.parametrize("value", [{"share": math.nan}, {"data": b"raw"}, [Model(share=math.inf)]])
def test_a_result_that_json_cannot_say_is_a_failure_and_no_other_result(value: Any) -> None:
    @worker(topic="t", output_topic="out", dlq_topic="dlq")
    async def give(message: dict[str, int]) -> Any:
        return value

    outcome = run(give, [{"n": 1}])
    assert not outcome.results
    assert [type(letter.error) for letter in outcome.dead_letters] == [Unencodable]
    with pytest.raises(Unencodable):
        outgoing("t", value)
