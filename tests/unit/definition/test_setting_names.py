"""A setting's name with a slip in it is known for what it means; its own name never is one."""

from __future__ import annotations

from difflib import SequenceMatcher

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.definition.setting_names import misspelt
from core_messaging.settings import Settings

NAMES = sorted(Settings.model_fields)


@st.composite
def slips(draw: st.DrawFn) -> tuple[str, str]:
    """A name, and the name with one letter left out, doubled or exchanged with the next one."""
    name = draw(st.sampled_from(NAMES))
    at = draw(st.integers(1, len(name) - 2))
    slip = draw(
        st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[:at] + name[at] + name[at:],
                name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            ]
        )
    )
    return name, slip


def alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


@given(slips())
def test_one_slip_is_known_for_what_it_means(words: tuple[str, str]) -> None:
    name, slip = words
    if slip not in NAMES:
        [word] = misspelt([slip.upper()], NAMES)
        # Between sasl and ssl one letter may be as near to the other.
        assert word.meant == name or alike(word.meant, slip) >= alike(name, slip)


def test_no_setting_passes_for_another_one() -> None:
    assert not list(misspelt(NAMES, NAMES))
    assert not list(misspelt([name.upper() for name in NAMES], NAMES))
