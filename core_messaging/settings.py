"""The settings: defaults, overridden by ``.env``, then by the environment. Users subclass ``Settings``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import core_messaging.definition.pydantic_start  # noqa: F401 # isort: skip # before pydantic_settings makes models

from dotenv import dotenv_values
from pydantic import Field, SecretBytes, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from core_messaging.definition.names import problem_of
from core_messaging.definition.setting_names import misspelt
from core_messaging.errors import ConfigurationError
from core_messaging.logs.secrecy import HIDDEN, is_secret_name, keep_secret


class Settings(BaseSettings):
    """The settings of the runtime, the producer and the command line; a project subclasses it in ``src/settings.py``.

    Every field is also an environment variable in upper case (``KAFKA_BOOTSTRAP_SERVERS``). Times are in seconds, sizes in
    bytes. Raises ConfigurationError for a misspelt argument, ValueError for an invalid value.

    >>> class AppSettings(Settings):
    ...     kafka_bootstrap_servers: str = "broker-1:9092,broker-2:9092"
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        validate_default=True,
        frozen=True,
        hide_input_in_errors=True,  # the value of a wrong setting may be a secret
    )

    kafka_enabled: bool = True
    kafka_broker: str = "kafka"  # or the name of a broker that a plugin registers
    kafka_bootstrap_servers: str = "localhost:9092"
    kafka_client_id: str = "core-messaging"

    # Security, with the values of librdkafka and the Java client.
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    # Tokens of SASL OAUTHBEARER: from a function (module:callable), or by client credentials from an identity provider.
    kafka_sasl_oauth_token_provider: str | None = None
    kafka_sasl_oauth_token_endpoint: str | None = None
    kafka_sasl_oauth_client_id: str | None = None
    kafka_sasl_oauth_client_secret: SecretStr | None = None
    kafka_sasl_oauth_scope: str | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    kafka_ssl_password: SecretStr | None = None
    kafka_ssl_check_hostname: bool = True
    # The same as PEM texts, where there is no file.
    kafka_ssl_ca: str | None = None
    kafka_ssl_certificate: str | None = None
    kafka_ssl_key: SecretStr | None = None
    kafka_ssl_ciphers: str | None = None  # as OpenSSL writes them
    # The rack (availability zone) of this process: it reads from a replica there.
    kafka_client_rack: str | None = None
    # Options of aiokafka that have no setting: {"connections_max_idle_ms": 60000}.
    kafka_client_options: dict[str, Any] = Field(default_factory=dict)

    # Membership of consumer groups.
    kafka_auto_offset_reset: Literal["earliest", "latest", "stop"] = "earliest"
    kafka_isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    kafka_session_timeout: float = Field(default=45.0, gt=0)
    kafka_heartbeat_interval: float = Field(default=1.0, gt=0)
    kafka_rebalance_timeout: float = Field(default=60.0, gt=0)
    kafka_metadata_max_age: float = Field(default=5.0, gt=0)  # until added topics and partitions are seen
    kafka_group_instance_id: str | None = None  # "auto": the host name and the place of the process there
    kafka_report_dead_members: bool = True  # tell the group which of its members have died on this machine

    # Topics that --create-topics creates.
    kafka_topic_partitions: int = Field(default=4, ge=1)
    kafka_topic_replication: int = Field(default=1, ge=1)

    # Publishing.
    kafka_max_request_size: int = Field(default=1_048_576, ge=1)
    kafka_batch_size: int = Field(default=131_072, ge=1)
    kafka_compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None
    kafka_linger: float = Field(default=0.0, ge=0)
    kafka_request_timeout: float = Field(default=40.0, gt=0)
    kafka_commit_timeout: float = Field(default=10.0, gt=0)
    kafka_start_timeout: float = Field(default=30.0, gt=0)  # how long a start waits for a broker
    # The same where every bootstrap server refuses the connection, so that no broker runs there. None: no other limit.
    kafka_refused_timeout: float | None = Field(default=None, gt=0)

    # The topic by which people pause workers (`core kafka pause`); NAME-state beside it is what each process says of itself.
    kafka_control_topic: str | None = None
    kafka_control_timeout: float = Field(
        default=10.0, gt=0
    )  # how long a start waits until it has read the topic
    kafka_control_required: bool = False  # whether a start fails where that time is over

    # The number of this process, from 1. `core kafka worker --processes N` sets it.
    core_process: int | None = Field(default=None, ge=1)

    # The engine.
    commit_interval: float = Field(default=1.0, gt=0)
    shutdown_timeout: float = Field(default=25.0, gt=0)
    # It has to be less than kafka_rebalance_timeout, or the group removes this member.
    revoke_timeout: float = Field(default=20.0, gt=0)
    max_in_flight: int = Field(default=10_000, ge=1)  # messages fetched and not finished, per worker
    max_in_flight_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    max_partition_in_flight: int = Field(default=5_000, ge=1)
    max_waiting_retries: int = Field(default=10_000, ge=1)
    obey_unblock_headers: bool = True
    # How many consecutive process crashes one message may cause before it is dead-lettered. In the last two of these processes,
    # it is the only message that runs.
    max_crashes: int = Field(default=4, ge=3)
    metrics_interval: float = Field(default=10.0, gt=0)
    # After how many seconds an attempt makes its worker "stuck"; they count from the end of ``timeout`` if the worker has one.
    # None: 300 s after ``timeout``, and never without one.
    stuck_after: float | None = Field(default=None, gt=0)
    # After how many seconds a worker is "blocked" whose messages all wait for a retry, and none finishes.
    blocked_after: float = Field(default=60.0, gt=0)
    # Threads for plain def handlers, for all workers of a process. None: for each worker as many as its ``concurrency``.
    handler_threads: int | None = Field(default=None, ge=1)

    # Plugins.
    plugin_timeout: float = Field(default=5.0, gt=0)  # for one async hook call
    core_plugins_disable: Annotated[tuple[str, ...], NoDecode] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the usual sources. Raises ConfigurationError for an argument that is a misspelt setting."""
        for word in misspelt(getattr(init_settings, "init_kwargs", ()), settings_cls.model_fields):
            raise ConfigurationError(f"{word.name} is no setting; did you mean {word.meant}?")
        return (init_settings, env_settings, dotenv_settings, file_secret_settings)

    @model_validator(mode="after")
    def _keep_secrets(self) -> Self:
        for name, value in self.__dict__.items():
            if isinstance(value, SecretStr):
                keep_secret(value.get_secret_value())
            elif isinstance(value, SecretBytes):
                keep_secret(value.get_secret_value().decode(errors="replace"))
            elif isinstance(value, str) and is_secret_name(name):
                keep_secret(value)
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, HIDDEN if isinstance(value, str) and is_secret_name(name or "") else value

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the secrets out of a pickle. Where it is loaded, they are read from the environment again."""
        kept = {name: value for name, value in self.__dict__.items() if not _is_secret(name, value)}
        return _read_again, (type(self), kept)

    @field_validator("kafka_broker", "kafka_client_id")
    @classmethod
    def _named(cls, value: str) -> str:
        """Refuse an empty name: it comes from a variable that nobody has filled."""
        problem = problem_of(value)
        if problem:
            raise ValueError(f"it is {problem}; write a name, or leave it out")
        return value

    @field_validator(
        "kafka_group_instance_id",
        "kafka_sasl_username",
        "kafka_sasl_oauth_token_provider",
        "kafka_sasl_oauth_token_endpoint",
        "kafka_sasl_oauth_client_id",
        "kafka_sasl_oauth_client_secret",
        "kafka_sasl_oauth_scope",
        "kafka_ssl_ca",
        "kafka_ssl_certificate",
        "kafka_ssl_key",
        "kafka_ssl_ciphers",
        "kafka_client_rack",
        "kafka_refused_timeout",
        "kafka_control_topic",
        "kafka_ssl_cafile",
        "kafka_ssl_certfile",
        "kafka_ssl_keyfile",
        "kafka_compression",
        "core_process",
        "handler_threads",
        mode="before",
    )
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        """Treat an empty variable, as a compose file may leave it, as one that is not set."""
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("core_plugins_disable", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        """Read ``a,b`` from the environment. Without NoDecode, pydantic-settings would read it as JSON."""
        return words(value) if isinstance(value, str) else value


def _is_secret(name: str, value: object) -> bool:
    return is_secret_name(name) or isinstance(value, SecretStr | SecretBytes)


def _read_again(kind: type[Settings], kept: dict[str, Any]) -> Settings:
    return kind(**kept)


def words(text: str) -> list[str]:
    """Return the names in ``a,b`` or ``a b``, as lists are written in the environment."""
    return text.replace(",", " ").split()


def environment(settings: Settings | type[Settings]) -> Mapping[str, str]:
    """Return the variables of the ``.env`` file of *settings*, in upper case, overridden by those of the environment."""
    files = settings.model_config.get("env_file") or ()
    encoding = settings.model_config.get("env_file_encoding") or "utf-8"
    found: dict[str, str] = {}
    for file in [files] if isinstance(files, str | os.PathLike) else files:
        values = dotenv_values(Path(file).expanduser(), encoding=encoding)
        found |= {name.upper(): value for name, value in values.items() if value is not None}
    return {**found, **os.environ}
