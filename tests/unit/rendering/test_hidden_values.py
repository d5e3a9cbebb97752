"""What an object's own repr hides is not dug out of it."""

import enum
import logging
from collections import UserDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest
from django.http import QueryDict

from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import get_logger
from tests.support.pipeline import only_ours, print_lines

log = get_logger()
HIDDEN = "hunter2"


@dataclass
class Data:
    name: str = "bob"
    code: str = field(default=HIDDEN, repr=False)


class Derived(Data):
    pass


@dataclass(repr=False)
class More(Data):
    more: str = HIDDEN


@dataclass
class DataWithOwn:
    code: str = HIDDEN

    def __repr__(self) -> str:
        return "<bob>"


@dataclass(repr=False)
class DataWithout:
    code: str = HIDDEN


@attrs.define
class Attrs:
    name: str = "bob"
    code: str = attrs.field(default=HIDDEN, repr=False)
    masked: str = attrs.field(default=HIDDEN, repr=lambda value: value[:2] + "...")


@attrs.define
class AttrsWithOwn:
    code: str = HIDDEN

    def __repr__(self) -> str:
        return "<bob>"


class Model(pydantic.BaseModel):
    name: str = "bob"
    code: str = pydantic.Field(HIDDEN, repr=False)
    pin: pydantic.SecretStr = pydantic.SecretStr(HIDDEN)


class ModelWithOwn(pydantic.BaseModel):
    code: str = HIDDEN

    def __repr__(self) -> str:
        return "<bob>"


class ModelWithArguments(pydantic.BaseModel):
    code: str = HIDDEN

    def __repr_args__(self) -> Any:
        return [("name", "bob")]


@pydantic.dataclasses.dataclass
class PydanticData:
    name: str = "bob"
    code: str = pydantic.Field(HIDDEN, repr=False)


class StructWithOwn(msgspec.Struct):
    code: str = HIDDEN

    def __repr__(self) -> str:
        return "<bob>"


class Pair(NamedTuple):
    code: str = HIDDEN

    def __repr__(self) -> str:
        return "<bob>"


class Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<bob>"

    __str__ = __repr__


class Raw(bytes):
    def __repr__(self) -> str:
        return "<bob>"


class Dict(dict[str, Any]):
    def __repr__(self) -> str:
        return "<bob>"


class List(list[Any]):
    def __repr__(self) -> str:
        return "<bob>"


class Vault(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        return HIDDEN

    def __iter__(self) -> Iterator[str]:
        return iter(["code"])

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "<bob>"


BOB = {"name": "bob"}
CASES: list[tuple[Any, Any]] = [
    (Data(), BOB),
    (Derived(), BOB),
    (More(), BOB),
    (DataWithOwn(), "<bob>"),
    (Attrs(), {**BOB, "masked": "hu..."}),
    (AttrsWithOwn(), "<bob>"),
    (Model(), {**BOB, "pin": "SecretStr('**********')"}),
    (ModelWithOwn(), "<bob>"),
    (ModelWithArguments(), BOB),
    (PydanticData(), BOB),
    (StructWithOwn(), "<bob>"),
    (Pair(), "<bob>"),
    (Text(HIDDEN), "<bob>"),
    (Raw(HIDDEN.encode()), "<bob>"),
    (Dict(code=HIDDEN), "<bob>"),
    (List([HIDDEN]), "<bob>"),
    (Vault(), "<bob>"),
    (Dict(password=HIDDEN), "[redacted]"),
]


@pytest.mark.parametrize(("value", "shown"), CASES, ids=[type(value).__name__ for value, _ in CASES])
def test_what_a_repr_hides_is_hidden(tmp_path: Path, value: Any, shown: Any) -> None:
    """As a value, in a container, as an argument, in the context; what the repr shows is there."""
    printed = print_lines(tmp_path)
    only_ours()
    with bind_fields(bound=value):
        log.info("x", value=value, inside=[{"a": value}])
    assert (printed.last["value"], printed.last["inside"], printed.last["bound"]) == (shown, [{"a": shown}], shown)
    logging.getLogger("lib").info("x", extra={"value": value})
    logging.getLogger("lib").info(value)
    log.info("%r", value)
    assert len(printed.lines) == 4
    assert HIDDEN not in printed.text


def test_without_a_repr_nothing_is_shown(tmp_path: Path) -> None:
    """A data class that is to have none is shown as any object is."""
    printed = print_lines(tmp_path)
    log.info("x", value=DataWithout())
    assert printed.last["value"].startswith("<")
    assert HIDDEN not in printed.text


class Open(dict[str, Any]):
    def __repr__(self) -> str:
        return f"<Open {super().__repr__()}>"


class Words(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return f"Words({super().__repr__()})"


class Choice(enum.Enum):
    ONE = "one"

    def __repr__(self) -> str:
        return "Choice.ONE"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Open(a=1), {"a": 1}),
        (Open(password=HIDDEN), {"password": "[redacted]"}),
        (QueryDict("password=hunter2&a=1"), {"password": "[redacted]", "a": ["1"]}),
        (UserDict(a=1), {"a": 1}),
        (Words("abc"), "abc"),
        (Choice.ONE, "one"),
    ],
    ids=repr,
)
def test_what_a_repr_shows_is_read_as_before(tmp_path: Path, value: Any, plain: Any) -> None:
    """A container or string whose repr shows all that it holds is printed as such."""
    printed = print_lines(tmp_path)
    log.info("x", value=value)
    assert printed.last["value"] == plain
