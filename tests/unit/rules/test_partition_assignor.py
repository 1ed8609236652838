"""Who gets which partition: each one once, evenly, with as few moves as possible, and never two owners at once."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import TopicPartition
from core_messaging.rules.partition_assignor import GroupMember, Shares, assign_partitions

NAMES = ("a", "b", "c", "d", "e")
TOPICS = ("t", "u", "v")

counts_of_topics = st.dictionaries(st.sampled_from(TOPICS), st.integers(0, 7))
topics_of_members = st.dictionaries(
    st.sampled_from(NAMES), st.frozensets(st.sampled_from(TOPICS), min_size=1), min_size=1
)
sources = st.builds(TopicPartition, st.sampled_from(TOPICS), st.integers(0, 8))
members_with_claims = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(
        GroupMember,
        st.frozensets(st.sampled_from(TOPICS), min_size=1),
        st.frozensets(sources, max_size=8).map(tuple),
        st.integers(-1, 3),
    ),
    min_size=1,
)


def joined(
    topics: Mapping[str, frozenset[str]], owned: Mapping[str, object], generation: int = 1
) -> dict[str, GroupMember]:
    """Members that read *topics* and own what they got, newcomers nothing."""
    return {
        name: GroupMember(of, tuple(owned.get(name, ())), generation if name in owned else -1)  # type: ignore[arg-type]
        for name, of in topics.items()
    }


def settled(
    topics: Mapping[str, frozenset[str]], counts: Mapping[str, int], owned: Shares
) -> tuple[Shares, int]:
    """What a group comes to, and after how many rounds: each member gives up what it loses, and joins again if it did."""
    shares = dict(owned)
    for round_number in range(1, 5):
        new = assign_partitions(joined(topics, shares, round_number), counts)
        given_up = any(set(shares.get(name, ())) - set(new[name]) for name in topics)
        shares = new
        if not given_up:
            return shares, round_number
    raise AssertionError("the group never settles")


def sorted_out(shares: Shares) -> list[TopicPartition]:
    return sorted(source for share in shares.values() for source in share)


def readable(topics: Mapping[str, frozenset[str]], counts: Mapping[str, int]) -> list[TopicPartition]:
    read = frozenset().union(*topics.values())
    return sorted(
        TopicPartition(topic, n) for topic, count in counts.items() for n in range(count) if topic in read
    )


@given(topics_of_members, counts_of_topics)
def test_a_new_group_has_every_partition_once_and_evenly_after_one_round(
    topics: dict[str, frozenset[str]], counts: dict[str, int]
) -> None:
    shares, rounds = settled(topics, counts, {})
    assert rounds == 1
    assert sorted_out(shares) == readable(topics, counts)
    for name, share in shares.items():
        assert all(source.topic in topics[name] for source in share)


@given(topics_of_members, topics_of_members, counts_of_topics, counts_of_topics)
def test_whoever_comes_or_goes_every_partition_has_one_owner_again_after_two_rounds(
    before: dict[str, frozenset[str]],
    after: dict[str, frozenset[str]],
    counts: dict[str, int],
    later: dict[str, int],
) -> None:
    first, _ = settled(before, counts, {})
    stayed = {name: share for name, share in first.items() if name in after}
    shares, rounds = settled(after, later, stayed)
    assert rounds <= 2
    assert sorted_out(shares) == readable(after, later)


@given(topics_of_members, topics_of_members, counts_of_topics, counts_of_topics)
def test_no_single_move_makes_a_settled_group_more_even(
    before: dict[str, frozenset[str]],
    after: dict[str, frozenset[str]],
    counts: dict[str, int],
    later: dict[str, int],
) -> None:
    first, _ = settled(before, counts, {})
    shares, _ = settled(after, later, {name: share for name, share in first.items() if name in after})
    for giver, share in shares.items():
        for taker in shares:
            movable = [source for source in share if source.topic in after[taker]]
            assert not movable or len(share) - len(shares[taker]) < 2, (giver, taker)


def test_where_one_move_is_not_enough_each_makes_room_for_the_one_before() -> None:
    # It took three rounds: what moved was given to members that others could not give way to.
    names = {"a": "tu", "b": "t", "c": "tu", "d": "tu", "e": "t"}
    topics = {name: frozenset(of) for name, of in names.items()}
    first, _ = settled({"a": topics["a"]}, {"t": 1, "u": 2}, {})
    shares, rounds = settled(topics, {"t": 3, "u": 2}, first)
    assert rounds == 2
    assert sorted(len(share) for share in shares.values()) == [1] * 5


@given(topics_of_members, counts_of_topics)
def test_nothing_moves_while_nothing_changes(
    topics: dict[str, frozenset[str]], counts: dict[str, int]
) -> None:
    first, _ = settled(topics, counts, {})
    again, rounds = settled(topics, counts, first)
    assert (again, rounds) == (first, 1)


@given(st.integers(0, 40), st.integers(1, 8))
def test_a_newcomer_moves_no_more_than_its_own_share(count: int, old: int) -> None:
    names = [f"m{n}" for n in range(old + 1)]
    first, _ = settled({name: frozenset("t") for name in names[:-1]}, {"t": count}, {})
    shares, _ = settled({name: frozenset("t") for name in names}, {"t": count}, first)
    moved = [source for name in names[:-1] for source in set(first[name]) - set(shares[name])]
    assert sorted(moved) == shares[names[-1]]
    assert len(moved) == count // (old + 1)


@given(members_with_claims, counts_of_topics)
def test_nothing_is_given_to_a_member_while_another_says_that_it_owns_it(
    members: dict[str, GroupMember], counts: dict[str, int]
) -> None:
    # Whatever they claim: stale generations, the same partition twice, partitions that are gone.
    shares = assign_partitions(members, counts)
    found = sorted_out(shares)
    assert len(found) == len(set(found))
    for name, share in shares.items():
        for source in share:
            others = [other for other, m in members.items() if other != name and source in m.owned]
            mine = members[name]
            assert not others or source in mine.owned
            assert all(mine.generation > members[other].generation for other in others)
            assert source.topic in mine.topics
            assert source.partition < counts[source.topic]


def test_the_newest_of_two_claims_counts() -> None:
    frozen = GroupMember(frozenset("t"), (TopicPartition("t", 0), TopicPartition("t", 1)), 3)
    alive = GroupMember(frozenset("t"), (TopicPartition("t", 0),), 5)
    shares = assign_partitions({"frozen": frozen, "alive": alive}, {"t": 2})
    assert shares == {"frozen": [TopicPartition("t", 1)], "alive": [TopicPartition("t", 0)]}


def test_what_two_claim_with_equal_right_goes_to_neither_until_both_have_given_it_up() -> None:
    both = GroupMember(frozenset("t"), (TopicPartition("t", 0),), 5)
    assert assign_partitions({"a": both, "b": both}, {"t": 1}) == {"a": [], "b": []}


def test_topics_are_spread_and_not_only_partitions() -> None:
    topics = {name: frozenset("tu") for name in ("a", "b")}
    shares, _ = settled(topics, {"t": 4, "u": 4}, {})
    assert {name: sorted(source.topic for source in share) for name, share in shares.items()} == {
        "a": list("ttuu"),
        "b": list("ttuu"),
    }
