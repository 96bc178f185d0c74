"""Opening connections: whose budgets a call is charged to, and keys that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config import load_config
from bridge.engine.opening import learn_account, open_runtime
from bridge.errors import AuthError
from bridge.sync.runtime import Runtime
from bridge_hubspot.sandbox import HubSpotSandbox

CONFIG = """
connections:
  crm:
    connector: hubspot
    settings: {{base_url: "{url}", token: "${{file:token}}"}}
"""


@pytest.fixture
def hub() -> Iterator[HubSpotSandbox]:
    with HubSpotSandbox(portal="123456", token="second-token") as hub:
        yield hub


@pytest.fixture
def runtime(hub: HubSpotSandbox, tmp_path: Path) -> Iterator[Runtime]:
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=hub.url))
    (tmp_path / "token").write_text("first-token")
    with open_runtime(load_config(tmp_path / "config.yaml"), lock_as="test") as runtime:
        yield runtime


def test_a_key_that_ended_is_read_again_from_where_it_is_kept(runtime: Runtime, tmp_path: Path) -> None:
    crm = runtime.connections["crm"]
    refused = learn_account(runtime, crm)
    assert isinstance(refused, AuthError)
    (tmp_path / "token").write_text("second-token")
    assert learn_account(runtime, crm) is None
    assert crm.account is not None
    assert crm.account.id == "123456"
    assert runtime.redactor.clean("it is second-token") == "it is [secret]"


def test_a_file_that_broke_meanwhile_leaves_the_connection_as_it_was(
    runtime: Runtime, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("connections: {crm: {conector: hubspot}}")
    assert isinstance(learn_account(runtime, runtime.connections["crm"]), AuthError)


def test_only_the_settings_of_the_refused_connection_are_taken_from_the_file(
    runtime: Runtime, hub: HubSpotSandbox, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("second-token")
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=hub.url) + "    push: {timeline: true}\n")
    assert learn_account(runtime, runtime.connections["crm"]) is None
    assert runtime.connections["crm"].config.push is None


def test_calls_are_charged_to_the_account_once_it_is_known(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("second-token")
    learn_account(runtime, runtime.connections["crm"])
    session = runtime.connections["crm"].session
    assert session is not None
    assert session.account == "hubspot:123456"
