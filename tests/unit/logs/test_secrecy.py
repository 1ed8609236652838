"""No secret is shown: not by errors of settings, not by repr, not in pickles, not by the client's own lines."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from aiokafka.protocol.admin import SaslAuthenticateRequest_v0, SaslAuthenticateRequest_v1
from pydantic import BaseModel, SecretStr, ValidationError, field_validator

from core_messaging.discovery.project import Project
from core_messaging.errors import ConfigurationError
from core_messaging.kafka.aiokafka_patches import patch_aiokafka
from core_messaging.kafka.client_config import client_options
from core_messaging.logs.secrecy import hidden
from core_messaging.logs.tracebacks import lines_of
from core_messaging.settings import Settings

MARKER = "mellon-of-moria-17"


class Own(Settings):
    database_password: str = "none"  # noqa: S105 - of no database
    mail_key: SecretStr | None = None


def given(**others: Any) -> Own:
    return Own(
        kafka_sasl_password=SecretStr(MARKER),
        kafka_ssl_password=SecretStr(MARKER),
        database_password=MARKER,
        mail_key=SecretStr(MARKER),
        **others,
    )


def test_settings_show_no_secret_as_a_text_and_in_a_pickle() -> None:
    settings = given(kafka_client_id="shop")
    assert MARKER not in repr(settings)
    assert MARKER not in str(settings)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert MARKER.encode() not in pickle.dumps(settings, protocol)
    assert copy.deepcopy(settings) == settings


def test_settings_out_of_a_pickle_have_the_secrets_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pickled = pickle.dumps(given(kafka_client_id="shop"))
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", MARKER)
    opened = pickle.loads(pickled)  # noqa: S301 - our own
    assert isinstance(opened, Own)
    assert (opened.kafka_client_id, opened.kafka_ssl_password) == ("shop", None)
    assert opened.kafka_sasl_password == SecretStr(MARKER)


@pytest.mark.parametrize("wrong", [{"kafka_ssl_password": [MARKER]}, {"database_password": [MARKER]}])
def test_a_secret_of_a_wrong_type_is_not_in_the_error_and_not_in_its_traceback(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Own(**wrong)
    assert MARKER not in str(caught.value)
    assert MARKER not in lines_of(caught.value, caught.value.__traceback__)


def test_what_a_stranger_model_says_of_a_secret_is_hidden() -> None:
    class Database(BaseModel):
        password: int

    with pytest.raises(ValidationError) as caught:
        Database(password=MARKER)  # type: ignore[arg-type]
    assert MARKER in str(caught.value)
    assert MARKER not in hidden(str(caught.value))
    assert MARKER not in hidden(" ".join(str(caught.value).split()))
    assert "unable to parse string as an integer" in hidden(str(caught.value))
    with pytest.raises(ValidationError) as caught:
        Database.model_validate({"passwort": 1, "api_key": MARKER})
    assert MARKER not in hidden(str(caught.value))


SOURCES = {
    "a validator": """
        @field_validator("kafka_ssl_password")
        @classmethod
        def check(cls, value):
            raise ValueError(f"{value.get_secret_value()} is too short")
    """,
    "an assertion": """
        @field_validator("kafka_ssl_password")
        @classmethod
        def check(cls, value):
            assert not value.get_secret_value(), value.get_secret_value()
    """,
    "a model": """
        @model_validator(mode="after")
        def check(self):
            raise ValueError(f"{self.kafka_ssl_password.get_secret_value()} is too short")
    """,
    "a type": "    kafka_ssl_password: int",
    "an import": """
    raise ImportError("no driver for user:{MARKER}@host")
    """,
}


@pytest.mark.parametrize("source", SOURCES)
def test_settings_that_are_wrong_are_told_without_the_secret(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src").mkdir()
    text = (
        "from core_messaging.settings import Settings\nfrom pydantic import field_validator, model_validator\n"
        "class AppSettings(Settings):\n    shop: str = ''\n"
    )
    (tmp_path / "src/settings.py").write_text(
        text + SOURCES[source].replace("{MARKER}", MARKER).replace("\n    ", "\n")
    )
    monkeypatch.setenv("KAFKA_SSL_PASSWORD", MARKER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "src.settings", raising=False)
    monkeypatch.delitem(__import__("sys").modules, "src", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        Project(tmp_path).settings()
    assert MARKER not in str(caught.value)


def test_what_logs_a_client_in_is_not_in_its_own_lines() -> None:
    patch_aiokafka()
    token = f"\0ann\0{MARKER}".encode()
    for request in (SaslAuthenticateRequest_v0(token), SaslAuthenticateRequest_v1(token)):
        assert MARKER not in f"{request} {request!r}"
        assert MARKER in request.encode().decode(errors="replace")


def test_a_project_may_make_a_plain_text_of_a_password() -> None:
    class Plain(Settings):
        kafka_sasl_password: str = MARKER  # type: ignore[assignment]
        kafka_sasl_username: str | None = "ann"
        kafka_security_protocol: Any = "SASL_PLAINTEXT"

    assert client_options(Plain(), "x")["sasl_plain_password"] == MARKER
    assert MARKER not in repr(Plain())


class Strict(Settings):
    @field_validator("kafka_client_id")
    @classmethod
    def short(cls, value: str) -> str:
        raise ValueError(f"{value} is too long")


def test_what_is_no_secret_is_told() -> None:
    with pytest.raises(ValidationError, match="mailer is too long"):
        Strict(kafka_client_id="mailer")
