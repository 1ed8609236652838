"""Why the client cannot be a member of its group, in this library's words."""

from __future__ import annotations

from aiokafka import errors as kafka_errors

from core_messaging.errors import BrokerError, GroupRefused, IdentityTaken
from core_messaging.settings import Settings


class FencedInstanceIdError(kafka_errors.BrokerResponseError):  # type: ignore[misc] # the client is untyped
    """The broker's error 82 (FENCED_INSTANCE_ID, KIP-345), which the client (0.14) does not know."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another member has registered under the same group.instance.id."


AUTO = "auto"  # the kafka_group_instance_id of a member that is named by its host and its place there


def static_identity(setting: str | None, group: str, host: str, place: int | None) -> str | None:
    """Return the ``group.instance.id`` of a member, None for a dynamic member.

    The group is part of it: two workers of one process must not have the same. *place*: the place that the member has on its
    *host*. Without one, ``auto`` could be the identity of a neighbour too.
    """
    if not setting or (setting == AUTO and place is None):
        return None
    return f"{f'{host}-{place}' if setting == AUTO else setting}-{group}"


def know_fenced_instance_ids() -> None:
    """Let the client know error 82. Safe to repeat."""
    kafka_errors.kafka_errors.setdefault(FencedInstanceIdError.errno, FencedInstanceIdError)


def is_fenced(error: kafka_errors.KafkaError) -> bool:
    """Whether *error* says that another member uses this ``group.instance.id``. The client wraps it into another error."""
    return FencedInstanceIdError.__name__ in f"{type(error).__name__} {error}"


def membership_error(
    error: Exception, group: str, instance: str | None, settings: Settings
) -> BrokerError | None:
    """Return the error that tells why the client cannot be a member of *group*; None if *error* is about something else.

    *instance*: the static identity that the client joined with, or None.
    """
    if is_fenced(error):
        return IdentityTaken(group, _as_set(settings.kafka_group_instance_id) or str(instance))
    if isinstance(error, kafka_errors.InconsistentGroupProtocolError):
        return GroupRefused(
            group,
            "it has members whose assignor is another one than 'cooperative-sticky', which this worker uses",
            "stop all members of the group and then start all, because the two cannot be mixed; or give this worker a group_id "
            "of its own",
        )
    if isinstance(error, kafka_errors.InvalidSessionTimeoutError):
        return GroupRefused(
            group,
            f"the broker does not allow a session of {settings.kafka_session_timeout:g} s",
            "set kafka_session_timeout between its group.min.session.timeout.ms and group.max.session.timeout.ms",
        )
    if isinstance(error, kafka_errors.InvalidGroupIdError):
        return GroupRefused(
            group, "the broker does not accept this group id", "give the worker another group_id"
        )
    return None


def _as_set(setting: str | None) -> str | None:
    return None if setting == AUTO else setting
