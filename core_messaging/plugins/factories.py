"""Makes the broker that the settings name, and finds the codecs that workers name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core_messaging.broker import Broker
from core_messaging.codecs import Codec
from core_messaging.config import WorkerConfig
from core_messaging.errors import (
    BrokenWorker,
    ConfigurationError,
    CoreMessagingError,
    PluginError,
    cause_of,
)
from core_messaging.plugins.registrations import KAFKA, BrokerFactory, Offer, Registrations
from core_messaging.settings import Settings


def broker_of(settings: Settings, registered: Registrations | None = None) -> Broker:
    """Make the broker called ``settings.kafka_broker``. *registered*: None looks at the installed plugins.

    Raises NotRegistered, RegisteredTwice, and PluginError where a plugin's factory fails.
    """
    if settings.kafka_broker == KAFKA:
        from core_messaging.kafka.client import KafkaBroker  # noqa: PLC0415 - aiokafka only where it is used

        return KafkaBroker(settings)
    return _made((registered or _installed(settings)).brokers.get(settings.kafka_broker), settings)


def _made(offer: Offer[BrokerFactory], settings: Settings) -> Broker:
    try:
        broker = offer.thing(settings)
    except (KeyboardInterrupt, CoreMessagingError):
        raise
    except BaseException as error:
        raise PluginError(
            f"the broker {offer.name!r} of {offer.label} cannot be made: {cause_of(error)}; "
            f"correct what it needs, or choose another one with the setting kafka_broker"
        ) from error
    lacks = [name for name in ("address", "consumer", "publisher", "topics") if not hasattr(broker, name)]
    if lacks:
        raise PluginError(
            f"the broker {offer.name!r} of {offer.label} lacks {', '.join(lacks)}; its author has to correct it "
            "(it has to implement core_messaging.broker.Broker)"
        )
    return broker


def codecs_of(
    configs: Iterable[WorkerConfig], settings: Settings, registered: Registrations | None = None
) -> Mapping[str, Codec]:
    """Return the codecs that *configs* name: name -> codec. Raises BrokenWorker where a codec is not registered."""
    found: dict[str, Codec] = {}
    for config in configs:
        if config.codec is None or config.codec in found:
            continue
        registered = registered or _installed(settings)
        try:
            found[config.codec] = registered.codecs.get(config.codec).thing
        except ConfigurationError as error:
            raise BrokenWorker(config.name, config.source, str(error)) from error
    return found


def _installed(settings: Settings) -> Registrations:
    """Return what the installed plugins register, for producers and programs, which run without plugins."""
    from core_messaging.plugins.manager import find, registrations  # noqa: PLC0415 - pluggy only where plugins are read

    return registrations(find(settings))
