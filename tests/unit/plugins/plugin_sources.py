"""Source texts of plugins that tests install, and the settings that choose them."""

from __future__ import annotations

from core_messaging.settings import Settings

SETTINGS = Settings()


ACME = Settings(kafka_broker="acme")


HEAD = (
    "from core_messaging import Codec, hookimpl\nfrom core_messaging.testing import MemoryBroker\n@hookimpl\n"
)


BROKER = HEAD + "def register_brokers(): return {'acme': lambda settings: MemoryBroker()}\n"


CODEC = HEAD + "def register_codecs(): return {'acme': Codec(lambda data, kind: data.hex(), bytes.fromhex)}\n"


CONFIGURED = """
import msgspec
from core_messaging import hookimpl

class Notify(msgspec.Struct):
    url: str
    retries: int = 1

core_config = Notify
seen = []

@hookimpl
def configure(config, settings):
    seen.append((config, settings.kafka_client_id))
"""
