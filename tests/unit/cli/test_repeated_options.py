"""No option drops an earlier value in silence: given twice it is refused, or it takes both."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner, Result
from core_messaging_cli.main import core
from core_messaging_cli.repeated_options import refusing_repeats

Path = tuple[str, ...]


def commands_below(group: click.Group, path: Path = ()) -> Iterator[tuple[Path, click.Command]]:
    """Every command that comes with us, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands_below(command, (*path, name))


def options_of(command: click.Command) -> Iterator[click.Option]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield parameter


OURS = [
    (path, option) for path, command in [((), core), *commands_below(core)] for option in options_of(command)
]
SINGLE = [(path, option) for path, option in OURS if not (option.multiple or option.count or option.is_flag)]


@pytest.mark.parametrize(("path", "option"), SINGLE, ids=lambda value: getattr(value, "name", None))
def test_an_option_with_one_value_is_refused_when_it_is_given_twice(path: Path, option: click.Option) -> None:
    found = CliRunner().invoke(core, [*path, option.opts[0], "1", option.opts[0], "2"])
    assert found.exit_code == 2
    assert f"{option.opts[0]}" in found.output
    assert "given 2 times, but takes one value; give one" in found.output


def test_every_flag_of_ours_can_only_be_switched_on() -> None:
    assert len(SINGLE) > 10
    assert not [option.opts for _, option in OURS if option.is_flag and option.secondary_opts]


@click.group()
@click.option("--to")
def greet(to: str | None) -> None: ...


@greet.command()
@click.option("--name", "-n")
@click.option("--shout/--whisper")
@click.option("--upper", "form", flag_value="upper")
@click.option("--lower", "form", flag_value="lower")
@click.option("--size", nargs=2)
@click.option("--verbose", "-v", count=True)
@click.option("--tag", multiple=True)
@click.option("--dry", is_flag=True)
def hello(**values: object) -> None:
    click.echo(values)


def greeted(*words: str) -> Result:
    return CliRunner().invoke(refusing_repeats(refusing_repeats(greet)), words)


@pytest.mark.parametrize(
    "words",
    [
        ["--to", "a", "--to", "b", "hello"],
        ["hello", "--name", "a", "-n", "a"],
        ["hello", "-na", "--name=b"],
        ["hello", "--shout", "--whisper"],
        ["hello", "--upper", "--lower"],
        ["hello", "--size", "1", "2", "--size", "3", "4"],
    ],
)
def test_every_kind_of_option_in_any_depth_is_watched(words: list[str]) -> None:
    found = greeted(*words)
    assert found.exit_code == 2
    assert ": given 2 times" in found.output


def test_what_loses_nothing_may_be_repeated() -> None:
    found = greeted("hello", "-v", "-v", "--tag", "a", "--tag", "b", "--dry", "--dry", "--name", "x")
    assert found.exit_code == 0, found.output
    assert "('a', 'b')" in found.output
