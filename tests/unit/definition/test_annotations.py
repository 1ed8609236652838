"""What a worker's annotation accepts decodes; what cannot is refused in one line when the worker is defined."""
# ruff: noqa: UP007, UP045 - how a type is spelled is what is tested

from __future__ import annotations

import abc
import base64
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import pathlib
import types
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st

from core_messaging import worker
from core_messaging.codecs import decoder_for
from core_messaging.errors import OptionError, Undecodable
from core_messaging.testing import run
from core_messaging.worker import Worker, as_worker, message_type

if TYPE_CHECKING:
    from elsewhere import Missing  # type: ignore[import-not-found] # the point


class Struct(msgspec.Struct, frozen=True):
    id: int


@dataclasses.dataclass
class Data:
    id: int


class Typed(TypedDict):
    id: int


class Named(NamedTuple):
    id: int


@attrs.define
class Attrs:
    id: int


@dataclasses.dataclass
class WithClassVariable:
    id: int
    make: ClassVar[Callable[[], int]] = int


class WithCallback(pydantic.BaseModel):
    id: int
    callback: Callable[[], int] | None = None


class Model(pydantic.BaseModel):
    id: int = pydantic.Field(gt=0)


@pydantic.dataclasses.dataclass
class ModelData:
    id: Annotated[int, pydantic.Field(gt=0)]


@dataclasses.dataclass
class Holder:
    model: Model
    more: list[Model]


class StructHolder(msgspec.Struct):
    model: Model
    more: dict[str, Model]


class Blob(msgspec.Struct):
    data: bytes


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Colour(enum.Enum):
    RED = "red"


RawBytes = NewType("RawBytes", bytes)
Text = NewType("Text", str)
Number = NewType("Number", int)
Alias = typing_extensions.TypeAliasType("Alias", bytes)
MaybeText = typing_extensions.TypeAliasType("MaybeText", Text | None)
Positive = Annotated[int, pydantic.Field(gt=0)]
Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]

RAW = b'"aGk="'  # a JSON text that is base64 of "hi": whoever decodes it shows it

GOOD: list[tuple[Any, bytes, Any]] = [
    # Raw, however it is spelled.
    *[(kind, RAW, RAW) for kind in (bytes, RawBytes, Alias, Annotated[bytes, "doc"], bytes | None, Optional[RawBytes])],
    *[(kind, RAW, RAW.decode()) for kind in (str, Text, MaybeText, str | None, Union[str, None], Annotated[str, "doc"])],
    (bytearray, RAW, bytearray(RAW)),
    (memoryview, RAW, memoryview(RAW)),
    (bytearray | None, RAW, bytearray(RAW)),
    (Any, b"[1]", [1]),
    (object, b"1", 1),
    (dict[str, int] | None, b"{}", {}),
    (Optional[Struct], b'{"id": 1}', Struct(1)),
    (list[Struct | None], b'[{"id": 1}, null]', [Struct(1), None]),
    (Sequence[Struct], b'[{"id": 1}]', [Struct(1)]),
    (Mapping[str, Struct], b'{"a": {"id": 1}}', {"a": Struct(1)}),
    (tuple[Struct, ...], b'[{"id": 1}]', (Struct(1),)),
    (set[Struct], b'[{"id": 1}]', {Struct(1)}),
    (list[object], b"[1]", [1]),
    (Number, b"1", 1),
    (Annotated[int, msgspec.Meta(gt=0)], b"1", 1),
    (Data, b'{"id": 1}', Data(1)),
    (list[Typed], b'[{"id": 1}]', [{"id": 1}]),
    (Named, b"[1]", Named(1)),
    (Attrs, b'{"id": 1}', Attrs(1)),
    (Colour, b'"red"', Colour.RED),
    (uuid.UUID, b'"00000000-0000-0000-0000-000000000000"', uuid.UUID(int=0)),
    (Decimal, b'"1.10"', Decimal("1.10")),
    (dt.date, b'"2020-01-02"', dt.date(2020, 1, 2)),
    (dict[int, str], b'{"1": "a"}', {1: "a"}),
    (Blob, b'{"data": "aGk="}', Blob(b"hi")),
    (WithClassVariable, b'{"id": 1}', WithClassVariable(1)),
    (list[WithCallback], b'[{"id": 1}]', [WithCallback(id=1)]),
    (Model, b'{"id": 1}', Model(id=1)),
    (Model | None, b'{"id": 1}', Model(id=1)),
    (Annotated[Model, "doc"], b'{"id": 1}', Model(id=1)),
    (NewType("Order", Model), b'{"id": 1}', Model(id=1)),
    (list[Model], b'[{"id": 1}]', [Model(id=1)]),
    (Sequence[Model], b'[{"id": 1}]', [Model(id=1)]),
    (dict[str, list[Model]], b'{"a": [{"id": 1}]}', {"a": [Model(id=1)]}),
    (tuple[Model, ...], b'[{"id": 1}]', (Model(id=1),)),
    (Cat | Dog, b'{"kind": "dog"}', Dog(kind="dog")),
    (Pet, b'{"kind": "dog"}', Dog(kind="dog")),
    (Positive, b"1", 1),
    (list[Positive], b"[1]", [1]),
    (ModelData, b'{"id": 1}', ModelData(1)),
    (list[ModelData], b'[{"id": 1}]', [ModelData(1)]),
    (Holder, b'{"model": {"id": 1}, "more": [{"id": 2}]}', Holder(Model(id=1), [Model(id=2)])),
    (StructHolder, b'{"model": {"id": 1}, "more": {"a": {"id": 2}}}', StructHolder(Model(id=1), {"a": Model(id=2)})),
    (list[StructHolder], b'[{"model": {"id": 1}, "more": {}}]', [StructHolder(Model(id=1), {})]),
]  # fmt: skip


def of_class(annotation: Any) -> type[Worker]:
    async def process(self: Worker, message: Any) -> None: ...

    process.__annotations__["message"] = annotation
    return type("Annotated", (Worker,), {"input_topic": "t", "process": process})


def of_decorator(annotation: Any) -> type[Worker]:
    async def handle(message: Any) -> None: ...

    handle.__annotations__["message"] = annotation
    made = as_worker(worker(topic="t")(handle))
    assert made is not None
    return made


@pytest.mark.parametrize("define", [of_class, of_decorator])
@pytest.mark.parametrize(("annotation", "data", "message"), GOOD)
def test_what_is_accepted_decodes(
    define: Callable[[Any], type[Worker]], annotation: Any, data: bytes, message: Any
) -> None:
    outcome = run(define(annotation), [data])
    assert [success.message for success in outcome.successes] == [message]
    assert type(outcome.successes[0].message) is type(message)


@given(data=st.binary(max_size=60), annotation=st.sampled_from([kind for kind, _, _ in GOOD]))
def test_whatever_comes_is_decoded_or_undecodable(data: bytes, annotation: Any) -> None:
    with contextlib.suppress(Undecodable):
        decoder_for(annotation)(data)


@given(st.binary(max_size=60))
def test_raw_bytes_stay_as_they_are(data: bytes) -> None:
    value = base64.b64encode(data)
    for annotation in (
        bytes,
        RawBytes,
        Alias,
        bytes | None,
        bytearray,
        memoryview,
        Annotated[bytes, 1] | None,
    ):
        assert decoder_for(annotation)(value) == value


INVALID: list[Any] = [
    (Model | None, b'{"id": 0}'),
    (list[Model], b'[{"id": 0}]'),
    (Holder, b'{"model": {"id": 0}, "more": []}'),
    (StructHolder, b'{"model": {"id": 0}, "more": {}}'),
    (list[ModelData], b'[{"id": 0}]'),
    (Positive, b"0"),
    (dict[str, Positive], b'{"a": 0}'),
    (Annotated[int, msgspec.Meta(gt=0)], b"0"),
    (list[Struct], b'[{"id": "hunter2"}]'),
    (list[Model], b'[{"id": "hunter2"}]'),
    (StructHolder, b'{"model": {"id": "hunter2"}, "more": {}}'),
]


@pytest.mark.parametrize(("annotation", "data"), INVALID)
def test_validation_holds_wherever_the_type_stands_and_does_not_print_the_message(
    annotation: Any, data: bytes
) -> None:
    outcome = run(of_class(annotation), [data])
    assert not outcome.successes
    assert isinstance(outcome.failures[0].error, Undecodable)
    assert "hunter2" not in str(outcome.failures[0].error)


@pytest.mark.parametrize(
    ("annotation", "takes"),
    [(bytes | None, True), (MaybeText, True), (Model | None, True), (Optional[list[Model]], True), (Any, True), (object, True),
     (Annotated[Struct | None, 1], True), (bytearray, False), (list[Model], False), (StructHolder, False), (Text, False)],
)  # fmt: skip
def test_a_tombstone_is_none_where_none_is_asked_for(annotation: Any, takes: bool) -> None:
    outcome = run(of_class(annotation), [(b"k", None)])
    assert [success.message for success in outcome.successes] == ([None] if takes else [])


class Plain: ...


class Shape(Protocol):
    id: int


class HoldsPlain(msgspec.Struct):
    plain: Plain


class Checked(msgspec.Struct):
    id: Positive


class Unfinished(pydantic.BaseModel):
    later: NeverDefined  # type: ignore[name-defined] # noqa: F821 - the point


class UnfinishedStruct(msgspec.Struct):
    later: NeverDefined  # type: ignore[name-defined] # noqa: F821 - the point


class AbstractModel(pydantic.BaseModel, abc.ABC):
    @abc.abstractmethod
    def price(self) -> int: ...


@dataclasses.dataclass
class AbstractData(abc.ABC):
    id: int

    @abc.abstractmethod
    def price(self) -> int: ...


class HasBytes(TypedDict):
    data: bytes


class Thawed(msgspec.Struct):
    id: int


@pytest.mark.parametrize(
    "annotation",
    [Plain, list[Plain], Plain | None, dict[str, Plain], HoldsPlain, list[HoldsPlain], Shape, complex, range, pathlib.Path, type,
     Callable[[], int], Iterable[Struct], Iterator[int], Iterable[Model], list[Iterable[Model]], collections.abc.Generator,
     bytes | dict[str, int], str | bytes, list[bytes], dict[str, bytearray], tuple[memoryview, ...], RawBytes | Struct, list[Alias],
     Annotated[str, msgspec.Meta(max_length=3)], Annotated[bytes, pydantic.Field(max_length=3)],
     Struct | Data, Model | Struct, Checked, set[list[int]], set[Thawed], frozenset[dict[str, int]], dict[tuple[int, int], str], dict[Struct, int],
     HasBytes, Model | bytes, list[Model | bytes], Unfinished, list[Unfinished], UnfinishedStruct, AbstractModel, list[AbstractModel],
     set[Model], frozenset[Model], dict[str, set[Model]], dict[Model, int], dict[tuple[int, int], Model], dict[Alias, list[Model]],
     type[Model], list[type[Model]], [dict], {}, list[Model | type[Model]],
     AbstractData, pydantic.BaseModel, 5, "not a type(", "1 / 0", "enum.Missing"],
)  # fmt: skip
@pytest.mark.parametrize("define", [of_class, of_decorator])
def test_what_nothing_decodes_to_is_refused_in_one_line(
    define: Callable[[Any], type[Worker]], annotation: Any
) -> None:
    with pytest.raises(OptionError) as caught:
        define(annotation)
    assert "\n" not in str(caught.value)
    assert "annotate the message" in str(caught.value) or "define or import" in str(caught.value)


def test_a_type_for_type_checkers_alone_is_refused() -> None:
    with pytest.raises(OptionError, match="outside of `if TYPE_CHECKING:`"):

        class Batches(Worker):
            input_topic = "t"
            batch_size = 2

            async def process_batch(self, messages: list[Missing]) -> None: ...

    with pytest.raises(OptionError, match="outside of `if TYPE_CHECKING:`"):

        @worker(topic="t")
        async def handle(message: Missing | None) -> None: ...


def test_a_type_beside_the_worker_inside_of_a_function_is_found() -> None:
    class Local(msgspec.Struct):
        id: int

    class Class(Worker):
        input_topic = "t"

        async def process(self, message: Local) -> None: ...

    class Abstract(Worker, abc.ABC):
        input_topic = "t"

        async def process(self, message: Local) -> None: ...

    @worker(topic="t")
    async def function(message: list[Local]) -> None: ...

    decorated = as_worker(function)
    assert decorated is not None
    assert [message_type(made) for made in (Class, Abstract, decorated)] == [Local, Local, list[Local]]


def test_a_type_is_found_in_the_module_of_the_function_under_decorators() -> None:
    def elsewhere(function: Any) -> Any:
        async def call(*args: Any, **named: Any) -> Any:
            return await function(*args, **named)

        known = types.FunctionType(call.__code__, {"Struct": "another one"}, closure=call.__closure__)
        return functools.wraps(function)(known)

    class Decorated(Worker):
        input_topic = "t"

        @elsewhere
        async def process(self, message: Struct) -> None: ...

    assert message_type(Decorated) is Struct


async def batch(self: Worker, messages: Any) -> None: ...


LISTS: list[Any] = [
    (list[Struct], list),
    (Sequence[Struct], list),
    (Collection[Struct], list),
    (Iterable[Struct], list),
    (tuple[Struct, ...], tuple),
    (Optional[list[Struct]], list),
    (Annotated[Sequence[Struct], "doc"], list),
    (NewType("Orders", list[Struct]), list),
    (typing_extensions.TypeAliasType("Batch", tuple[Struct, ...]), tuple),
]


@pytest.mark.parametrize(("annotation", "kind"), LISTS)
def test_a_batch_may_be_any_kind_of_sequence(annotation: Any, kind: type) -> None:
    got: list[Any] = []

    async def handle(messages: Any) -> None:
        got.append(messages)

    handle.__annotations__["messages"] = annotation
    made = worker(topic="t", batch_size=2, batch_timeout=0.1)(handle)
    run(made, [{"id": 1}, {"id": 2}])
    assert got == [kind([Struct(1), Struct(2)])]
    of_a_class = type(
        "Batches", (Worker,), {"input_topic": "t", "batch_size": 2, "process_batch": staticmethod(handle)}
    )
    run(of_a_class, [{"id": 1}, {"id": 2}])
    assert got[1] == got[0]
    assert message_type(of_a_class) is Struct


@pytest.mark.parametrize(
    "annotation",
    [Struct, set[Struct], dict[str, Struct], tuple[Struct, Struct], Iterator[Struct], bytes, [dict]],
)
def test_a_batch_handler_that_asks_for_no_list_is_refused(annotation: Any) -> None:
    async def process_batch(self: Worker, messages: Any) -> None: ...

    process_batch.__annotations__["messages"] = annotation
    with pytest.raises(OptionError, match="process_batch gets a list of messages"):
        type("Batches", (Worker,), {"input_topic": "t", "batch_size": 2, "process_batch": process_batch})


Message = TypeVar("Message")
Bounded = TypeVar("Bounded", bound=Struct)


class Base(Worker, Generic[Message]):
    async def process(self, message: Message) -> None: ...


class Middle(Base[list[Message]], Generic[Message]): ...


class BatchBase(Worker, Generic[Message]):
    batch_size = 2

    async def process_batch(self, messages: Sequence[Message]) -> None: ...


class BoundedBase(Worker, Generic[Bounded]):
    async def process(self, message: Bounded) -> None: ...


def test_a_type_variable_is_what_the_subclass_says() -> None:
    class Direct(Base[Struct]):
        input_topic = "t"

    class Through(Middle[Model]):
        input_topic = "t"

    class Batches(BatchBase[Model]):
        input_topic = "t"

    class Bound(BoundedBase):  # type: ignore[type-arg] # the point
        input_topic = "t"

    class Below(Direct): ...

    found = [message_type(each) for each in (Direct, Through, Batches, Bound, Below)]
    assert found == [Struct, list[Model], Model, Struct, Struct]


@pytest.mark.parametrize("base", [Base, Middle, BatchBase])
def test_a_type_variable_that_stands_for_nothing_is_refused(base: type) -> None:
    with pytest.raises(OptionError, match="class Orders"):
        type("Open", (base,), {"input_topic": "t"})
