"""Secrets in config.yaml: by reference only, fetched from where they are kept, and never shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bridge import references
from bridge.config import Config
from bridge.errors import ConfigError
from bridge.redact import Redactor
from tests.config_cases import SECRET, key_of, one_folder, problem, problems, read


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER_KEY", SECRET)
    monkeypatch.setenv("BLANK", "  ")
    monkeypatch.delenv("NOT_SET", raising=False)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("${env:FOLDER_KEY}", SECRET),
        ("${env: FOLDER_KEY }", SECRET),
        ("${file:key.txt}", "the key in the file"),
        ("${file:sub/key.txt}", "the key below"),
        ("${command:cat key.txt}", "the key in the file"),
        ("${command:sh -c 'echo first; echo second'}", "first\nsecond"),
        ("${command:awk '{print $5 $2 $1}' key.txt}", "filekeythe"),
        ("key-${env:FOLDER_KEY}-${file:key.txt}", f"key-{SECRET}-the key in the file"),
    ],
)
def test_a_secret_is_fetched_from_where_it_is_kept(written: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "key.txt").write_text("  the key in the file\n")
    (tmp_path / "sub" / "key.txt").write_text("the key below")
    text = one_folder(json.dumps({"directory": "here", "key": written}))
    config = read(text, tmp_path)
    assert key_of(config) == key
    assert key in config.secrets


def test_the_file_of_a_secret_may_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "key").write_text(SECRET)
    config = read(one_folder(f"{{directory: here, key: '${{file:{tmp_path}/run/key}}'}}"), tmp_path / "other")
    assert key_of(config) == SECRET


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${env:NOT_SET}", "${env:NOT_SET} is not set. Set it: export NOT_SET=..."),
        ("${env:BLANK}", "${env:BLANK} is empty. Give it a value: export BLANK=..."),
        ("${env:}", "${env:} names nothing. Write the variable's name: ${env:NAME}."),
        ("${file:nowhere}", "${file:nowhere} cannot be read: No such file or directory. Create the file"),
        ("${file:.}", "${file:.} cannot be read: Is a directory."),
        ("${file:empty}", "${file:empty} is empty. Write the value into empty."),
        ("${file:picture}", "${file:picture} cannot be read: it is not text in UTF-8."),
        ("${command:}", "${command:} names nothing. Write the command"),
        ("${command:no-such-program x}", "cannot be run: No such file or directory. Run it by hand in /"),
        ("${command:false}", "${command:false} ended with 1. Run it by hand in /"),
        ("${command:true}", "${command:true} is empty. Let the command print the value: true"),
        ("${command:cat 'picture}", "cannot be run: No closing quotation."),
        ("${command:cat picture}", "printed something that is not text in UTF-8."),
        ("${command:sleep 20}", "${command:sleep 20} gave no answer in 0.2 s. Run it by hand in /"),
        ("${vault:key}", "this is no reference. Write a reference: ${env:NAME}"),
        ("${env:FOLDER_KEY} ${vault:key}", "this is no reference. Write a reference"),
        ("${env:FOLDER_KEY", "this is no reference. Write a reference"),
        ("${comand:pass show x}", "this is no reference. Did you mean ${command:...}?"),
        ("${ env:FOLDER_KEY}", "this is no reference. Did you mean ${env:...}?"),
        ("${ENV:FOLDER_KEY}", "this is no reference. Did you mean ${env:...}?"),
        ("${comand:awk '{print $2}' keys}", "this is no reference. Did you mean ${command:...}?"),
    ],
)
def test_a_secret_that_cannot_be_had_says_why_and_what_to_do(
    written: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "COMMAND_SECONDS", 0.2)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff")
    (found,) = problems(one_folder(json.dumps({"directory": "here", "key": written})), tmp_path)
    assert found.path == "connections.crm.settings.key"
    assert said in str(found)


@pytest.mark.parametrize(
    "settings",
    [
        "{directory: here, key: SECRET}",
        "{directory: here, key: [SECRET]}",
        "{directory: here, key: {a: SECRET}}",
        "{directory: here, kee: SECRET}",
        "SECRET",
        "[SECRET]",
        "{directory: [SECRET], key: SECRET}",
        "{directory: here, key: 'x${env:NOT_SET}SECRET'}",
        "{directory: here, key: '${file:SECRET'}",
    ],
)
def test_a_secret_in_plain_text_is_refused_and_shown_nowhere(settings: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(one_folder(settings.replace("SECRET", SECRET)), tmp_path)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.problems)


def test_a_number_is_no_secret_either(tmp_path: Path) -> None:
    found = [str(one) for one in problems(one_folder("{directory: here, key: 1234567890}"), tmp_path)]
    assert "plain text" in found[0]
    assert not any("1234567890" in one for one in found)


@pytest.mark.parametrize(
    ("connector", "settings"),
    [
        ("imap", {"host": "h", "user": "u", "password": "SECRET", "token": "SECRET"}),
        ("imap", {"host": "h", "user": "u", "password": ["SECRET"]}),
        ("api", {"sources": {"shop": {"token": "SECRET"}}}),
        ("api", {"sources": {"shop": "SECRET"}}),
        ("api", {"sources": {"SHOP": {"token": "SECRET"}}}),
        ("api", {"sources": ["SECRET"]}),
        ("api", {"sources": {"shop": {"tokn": "SECRET"}}}),
        ("hubspot", {"token": "SECRET", "secret": "SECRET"}),
        ("whatsapp", {"app_secret": "SECRET", "verify_token": "SECRET", "business_account": "SECRET"}),
    ],
)
def test_no_connector_shows_a_misplaced_secret(
    connector: str, settings: Mapping[str, Any], tmp_path: Path
) -> None:
    block = json.dumps({"connector": connector, "settings": settings}).replace('"SECRET"', f'"{SECRET}"')
    text = f"connections:\n  one: {block}\n"
    with pytest.raises(ConfigError) as caught:
        read(text, tmp_path)
    said = str(caught.value)
    if settings.get("business_account"):
        said = said.replace(f'business_account: "{SECRET}"', "")
    assert SECRET not in said


def test_a_configuration_never_shows_its_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "db").write_text("the database password")
    text = "store: postgresql://crm:${file:db}@host/base\n" + one_folder()
    config = read(text, tmp_path)
    assert config.store == "postgresql://crm:the database password@host/base"
    shown = repr(config) + str(config) + repr(config.connections["crm"]) + str(config.left_out)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("crmbridge").info("read %r", config)
    for secret in (SECRET, "the database password"):
        assert secret in config.secrets
        assert secret not in shown + caplog.text
    assert all(f.name not in ("store", "secrets", "settings") or not f.repr for f in fields(Config))


def test_every_part_and_whole_of_a_mixed_secret_is_redacted(tmp_path: Path) -> None:
    config = read(one_folder("{directory: here, key: 'Bearer ${env:FOLDER_KEY}'}"), tmp_path)
    clean = Redactor(*config.secrets).clean
    assert clean(f"sent Bearer {SECRET}") == "sent [secret]"
    assert clean(f"sent {SECRET}") == "sent [secret]"


def test_what_a_variable_holds_where_no_secret_belongs_may_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDER", "/srv/folder")
    config = read(one_folder("{directory: '${env:FOLDER}', key: '${env:FOLDER_KEY}'}"), tmp_path)
    assert config.connections["crm"].settings["directory"] == "/srv/folder"
    assert config.secrets == (SECRET,)


def test_the_password_of_the_store_is_a_secret_in_each_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE", "postgresql://crm:s%40cret-word@host:5432/base?sslmode=require")
    config = read("store: ${env:DATABASE}\n" + one_folder(), tmp_path)
    assert {"s%40cret-word", "s@cret-word"} <= set(config.secrets)


@pytest.mark.parametrize(
    "store", ["postgresql://crm:hunter22@host/base", "postgres://crm:hunter22@host/base"]
)
def test_a_password_in_the_stores_address_is_refused_in_plain_text(store: str, tmp_path: Path) -> None:
    found = [str(one) for one in problems(f"store: {store}\n" + one_folder(), tmp_path)]
    assert found[0].startswith(
        "config.yaml:1:1 store: a password stands here in plain text. Write a reference"
    )
    assert "hunter22" not in "".join(found)


def test_a_secret_is_checked_as_the_connector_will_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T", "a token that is long enough")
    monkeypatch.setenv("SHORT_TOKEN_OF_THE_SHOP", "abc")
    text = "connections:\n  in: {connector: api, settings: {sources: {shop: {token: '${env:%s}'}}}}\n"
    assert read(text % "T", tmp_path).connections["in"].settings["sources"]["shop"]["token"]
    assert str(problem(text % "SHORT_TOKEN_OF_THE_SHOP", tmp_path)).startswith(
        "config.yaml:2:52 connections.in.settings.sources.shop.token: the value is too short; it has at least 16"
    )
