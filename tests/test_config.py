"""config.yaml: every fault at once with its place and remedy, and what the values mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.config import Ask, Push, Web, load_config, schema
from tests.config_cases import SECRET, key_of, one_folder, problem, problems, read

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER_KEY", SECRET)
    monkeypatch.setenv("BLANK", "  ")
    monkeypatch.delenv("NOT_SET", raising=False)


def test_every_fault_is_told_at_once_with_its_place_and_remedy(tmp_path: Path) -> None:
    text = """\
company: {time_zone: America/Sao_Paolo, langauge: pt}
conections: {}
connections:
  crm:
    connector: hubspott
  mail:
    connector: imap
    settings:
      host: imap.example.com
      user: sales@example.com
      password: hunter22
      port: 99999
    capture: {since: yesterday, only_with: contact}
    push: {timeline: true}
  folder:
    connector: memory
    settings: {directory: here, key: "${env:NOT_SET}"}
    mapping: mine.yaml
web: {listen: "127.0.0.1:70000"}
"""
    assert [str(found) for found in problems(text, tmp_path)] == [
        "config.yaml:1:11 company.time_zone: 'America/Sao_Paolo' is no time zone."
        " Did you mean America/Sao_Paulo?",
        "config.yaml:1:41 company.langauge: there is no such setting. Did you mean language?",
        "config.yaml:2:1 conections: there is no such setting. Did you mean connections?",
        "config.yaml:5:5 connections.crm.connector: 'hubspott' is not installed. Did you mean hubspot?",
        "config.yaml:11:7 connections.mail.settings.password: a secret stands here in plain text."
        " Write a reference: ${env:NAME}, ${file:/path} or ${command:...}.",
        "config.yaml:12:7 connections.mail.settings.port: 99999 is too large; the most is 65535."
        " Its port: 993 for implicit TLS, mostly 143 for starttls.",
        "config.yaml:13:15 connections.mail.capture.since: 'yesterday' is no date. Write it like 2026-01-31.",
        'config.yaml:13:33 connections.mail.capture.only_with: "contact" is not one of anyone, contacts,'
        " contacts_or_leads. Did you mean contacts?",
        "config.yaml:14:5 connections.mail.push: Mailbox (IMAP) is no CRM: nothing can be written to it."
        " Remove `push`.",
        "config.yaml:17:33 connections.folder.settings.key: ${env:NOT_SET} is not set."
        " Set it: export NOT_SET=...",
        "config.yaml:18:5 connections.folder.mapping: there is no file mine.yaml. Correct the path.",
        "config.yaml:19:7 web.listen: 70000 is no port. Use a number up to 65535; 0 takes any free port.",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("    caputre: {}\n", "connections.crm.caputre: there is no such setting. Did you mean capture?"),
        ("    capture: {nver: [x]}\n", "crm.capture.nver: there is no such setting. Did you mean never?"),
        ("    capture: {detail: ful}\n", "detail: \"ful\" is not one of full, subject, metadata. Did you mean full?"),
        ("    capture: {never: []}\n", "crm.capture.never: is empty."),
        ("    capture: {never: lawyer.example}\n", "crm.capture.never: the value stands where a list is expected."),
        ("    push: {create: {watsapp: never}}\n", "watsapp: this name cannot stand here. Did you mean whatsapp?"),
        ("    push: {create: {email: after_reply}}\n", "Did you mean after_we_replied?"),
        ("    push:\n", "crm.push: is empty; `key: value` lines are expected. What may be written to this account."),
        ("    region: br\n", 'crm.region: "br" does not have the right form. Country (two capital letters of ISO 3166'),
        ("    region: UK\n", "crm.region: 'UK' is no country. Use the two letters of ISO 3166, such as BR or GB."),
        ("    region: NO\n    every: 0\n", "crm.every: 0 is too small; the least is 1."),
        ("    every: often\n", 'crm.every: "often" stands where a number is expected.'),
        ("  Second CRM:\n    connector: memory\n", '["Second CRM"]: this name cannot stand here. Use small letters'),
        ("  second: memory\n", "connections.second: the value stands where `key: value` lines are expected."),
        ("  second: {settings: {}}\n", "connections.second: `connector` is missing. Which connector;"),
        ("company: {currency: reais}\n", 'currency: "reais" does not have the right form. The three capital letters'),
        ("company: {language: pt-br}\n", '"pt-br" is not one of en, pt, es.'),
        ("company: {time_zone: America}\n", "'America' is no time zone."),
        ("company: {time_zone: 3}\n", "company.time_zone: 3 stands where text is expected. Put it in quotes."),
        ("identity: {default_region: EN}\n", "identity.default_region: 'EN' is no country."),
        ("identity: {own_domains: [example]}\n", "own_domains[0]: 'example' is no mail domain. Write it like"),
        ("identity: {own_addresses: [rui@example.com, 4000-1000]}\n", "own_addresses[1]: '4000-1000' is neither"),
        ("web: {listen: 8099}\n", "web.listen: 8099 stands where text is expected. Put it in quotes."),
        ("web: {listen: localhost}\n", 'web.listen: "localhost" does not have the right form. Address and port'),
        ("web: {public_url: bridge.example.com}\n", 'public_url: "bridge.example.com" does not have the right form.'),
        ("store: mysql://host/base\n", "store: this is no address of a store. sqlite:///path/to"),
        ("store: postgresql://host\n", "store: this is no address of a store."),
        ("store: postgresql://host:x/base\n", "store: this is no address of a store."),
        ("store: crm.db\n", "store: this is no address of a store."),
        ("store: sqlite:///\n", "store: this is no address of a store."),
    ],
)  # fmt: skip
def test_a_fault_says_what_would_be_right(more: str, said: str, tmp_path: Path) -> None:
    found = problem(one_folder(more=more), tmp_path)
    assert said in str(found)
    assert (found.file, found.line > 4, found.column > 0) == ("config.yaml", True, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no settings"),
        ("store: sqlite:///x.db\n", "config.yaml:1:1 `connections` is missing. The accounts to connect"),
        ("connections: {}\n", "config.yaml:1:1 connections: is empty. The accounts to connect"),
        ("connections:\n  crm: {connector: memory}\n", "connections.crm.settings: `directory` is missing."),
        ("connections:\n\tcrm: {}\n", "config.yaml:2:1 not valid YAML"),
        (
            one_folder() + "store: a\nstore: b\n",
            "config.yaml:6:1 store: stands twice. Its first is in line 5",
        ),
    ],
)
def test_a_file_without_connections_is_refused(text: str, said: str, tmp_path: Path) -> None:
    assert said in str(problems(text, tmp_path)[0])


def test_a_number_where_text_belongs_asks_for_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
connections:
  whatsapp:
    connector: whatsapp
    settings: {app_secret: "${env:FOLDER_KEY}", verify_token: "${env:FOLDER_KEY}", business_account: 10229}
"""
    assert str(problem(text, tmp_path)).endswith(
        "settings.business_account: 10229 stands where text is expected. Put it in quotes."
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{}", ["host", "user", "`password` or `token` is missing"]),
        ("{host: h, user: u}", ["`password` or `token` is missing"]),
        (
            "{host: h, user: u, password: '${env:FOLDER_KEY}', token: '${env:FOLDER_KEY}'}",
            ["write `password` or `token`, not both"],
        ),
    ],
)
def test_alternative_settings_are_named(settings: str, said: list[str], tmp_path: Path) -> None:
    text = f"connections:\n  mail:\n    connector: imap\n    settings: {settings}\n"
    found = [str(one) for one in problems(text, tmp_path)]
    assert len(found) == len(said)
    assert all(words in one for words, one in zip(said, found, strict=True))


def test_the_example_is_valid_once_its_secrets_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "config.example.yaml").read_text()
    for name in ("HUBSPOT_TOKEN", "WA_SECRET", "WA_VERIFY", "WA_TOKEN", "PHONE_SYSTEM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    said = [str(one) for one in problems(text, tmp_path)]
    assert len(said) == 5
    assert all("is not set" in one or "cannot be read" in one for one in said)
    for name in ("HUBSPOT_TOKEN", "WA_SECRET", "WA_VERIFY", "WA_TOKEN", "PHONE_SYSTEM_TOKEN"):
        monkeypatch.setenv(name, f"the secret called {name}")
    (tmp_path / "imap").write_text("the password of the mailbox")
    text = text.replace("/run/secrets/imap", "imap")
    config = read(text, tmp_path)
    assert list(config.connections) == ["crm", "sales-mailbox", "whatsapp"]
    assert all(connection.push is None for connection in config.connections.values())
    uncommented = text.replace("    # push:", "    push:").replace("    #   ", "      ")
    uncommented = uncommented.replace("  # inbound:", "  inbound:").replace("  #   ", "    ")
    config = read(uncommented, tmp_path)
    assert config.connections["crm"].push == Push(
        timeline=True,
        create={"whatsapp": "first_message", "email": "after_we_replied"},
        ask=Ask(who=("undecided",)),
    )
    assert list(config.connections["inbound"].settings["sources"]) == ["phone-system"]


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    config = read(one_folder(), tmp_path)
    assert (config.company.zone, config.company.language, config.company.currency) == (
        ZoneInfo("UTC"),
        "en",
        None,
    )
    assert config.store == f"sqlite:///{tmp_path}/crmbridge.db"
    assert config.blobs is None
    assert config.web == Web(host="127.0.0.1", port=8099, public_url=None)
    connection = config.connections["crm"]
    assert (connection.push, connection.mapping, connection.region, connection.every) == (None,) * 4
    assert not connection.capture.restricts


def test_yaml_has_no_dates_no_sexagesimals_and_no_yes(tmp_path: Path) -> None:
    more = """\
    region: NO
    capture: {since: 2026-01-31, never: [12:30, yes, 2026-01-31, "77"]}
identity: {default_region: NO}
company: {language: pt}
"""
    config = read(one_folder(more=more), tmp_path)
    assert config.connections["crm"].region == config.identity.default_region == "NO"
    assert config.connections["crm"].capture.never == ("12:30", "yes", "2026-01-31", "77")


@pytest.mark.parametrize(
    ("since", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, 3, tzinfo=UTC)),
        ("2026-07-01T12:00", datetime(2026, 7, 1, 15, tzinfo=UTC)),
        ("2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
    ],
)
def test_since_is_a_day_where_the_company_is(since: str, instant: datetime, tmp_path: Path) -> None:
    more = f"    capture: {{since: {since}}}\ncompany: {{time_zone: America/Sao_Paulo}}\n"
    assert read(one_folder(more=more), tmp_path).connections["crm"].capture.since == instant


@pytest.mark.parametrize("since", ["2026-02-30", "31/01/2026", "0001-01-01", "2026"])
def test_since_must_be_a_day(since: str, tmp_path: Path) -> None:
    more = f"    capture: {{since: {since}}}\ncompany: {{time_zone: Asia/Tokyo}}\n"
    assert problem(one_folder(more=more), tmp_path).path == "connections.crm.capture.since"


def test_relative_paths_start_at_the_folder_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    (home / "key").write_text("the key beside it")
    (home / "mine.yaml").write_text("version: 1\nconnector: memory\n")
    (home / "config.yaml").write_text(
        "store: sqlite:///data/crm.db\nblobs: data/large\n"
        + one_folder("{directory: data/folder, key: '${file:key}'}", "    mapping: mine.yaml\n")
    )
    monkeypatch.chdir(elsewhere)
    config = load_config(Path("../home/config.yaml"))
    monkeypatch.chdir(tmp_path)
    assert Path(config.store.removeprefix("sqlite:///")).resolve() == home / "data" / "crm.db"
    assert config.blobs is not None and config.blobs.resolve() == home / "data" / "large"
    assert Path(config.connections["crm"].settings["directory"]).resolve() == home / "data" / "folder"
    assert key_of(config) == "the key beside it"
    assert config.connections["crm"].mapping is not None
    assert config.connections["crm"].mapping.name == "mine.yaml"


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    text = "store: sqlite:////srv/crm.db\nblobs: /srv/large\n" + one_folder(
        "{directory: /srv/folder, key: '${env:FOLDER_KEY}'}"
    )
    config = read(text, tmp_path)
    assert config.store == "sqlite:////srv/crm.db"
    assert (str(config.blobs), config.connections["crm"].settings["directory"]) == (
        "/srv/large",
        "/srv/folder",
    )


def test_large_bodies_beside_postgresql_lie_in_the_folder_of_the_configuration(tmp_path: Path) -> None:
    config = read("store: postgresql://crm@host/base\n" + one_folder(), tmp_path)
    assert config.blobs == tmp_path / "crmbridge-blobs"


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("0.0.0.0:80", "0.0.0.0", 80), (":8099", "0.0.0.0", 8099), ("[::1]:0", "::1", 0), ("localhost:1", "localhost", 1)],
)  # fmt: skip
def test_the_receiver_listens_where_it_is_told(listen: str, host: str, port: int, tmp_path: Path) -> None:
    web = read(one_folder(more=f'web: {{listen: "{listen}"}}\n'), tmp_path).web
    assert (web.host, web.port) == (host, port)


def test_own_domains_are_written_in_any_way(tmp_path: Path) -> None:
    more = 'identity: {own_domains: ["@Example.com", " müller.example "]}\n'
    assert read(one_folder(more=more), tmp_path).identity.own_domains == (
        "example.com",
        "xn--mller-kva.example",
    )


def test_connections_keep_their_order_and_names(tmp_path: Path) -> None:
    folder = "{connector: memory, settings: {directory: here, key: '${env:FOLDER_KEY}'}}"
    text = f"connections: {{zulu: {folder}, alpha: {folder}, m-1: {folder}}}\n"
    config = read(text, tmp_path)
    assert list(config.connections) == [one.name for one in config.connections.values()]
    assert list(config.connections) == ["zulu", "alpha", "m-1"]


def test_two_receivers_cannot_share_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "a token that is long enough")
    api = "{connector: api, settings: {sources: {shop: {token: '${env:TOKEN}'}}}}"
    found = problems(f"connections:\n  one: {api}\n  two: {api}\n", tmp_path)
    assert [str(one) for one in found] == [
        f"config.yaml:3:9 connections.two.connector: api answers at {path}, which the connection one has already."
        " Keep one of the two, with the settings of both."
        for path in ("/v1/interactions", "/v1/openapi.json")
    ]


def test_only_contacts_without_a_crm_would_collect_nothing(tmp_path: Path) -> None:
    text = """
connections:
  mail:
    connector: imap
    settings: {host: h, user: u, password: "${env:FOLDER_KEY}"}
    capture: {only_with: %s}
"""
    found = problem(text % "contacts", tmp_path)
    assert found.path == "connections.mail.capture.only_with"
    assert "no connection is a CRM" in found.message
    assert read(text % "contacts_or_leads", tmp_path).connections["mail"].capture.restricts


def test_the_channels_of_push_are_those_of_the_journey() -> None:
    create = schema()["properties"]["connections"]["additionalProperties"]["properties"]["push"]["properties"]
    journey = json.loads((ROOT / "bridge/journey/schema/interaction.schema.json").read_text())
    channels = journey["properties"]["channel"]["enum"]
    assert set(create["create"]["propertyNames"]["enum"]) == set(channels) - {"unknown"}


def test_every_setting_is_described() -> None:
    def undescribed(rules: Mapping[str, Any], at: str) -> list[str]:
        found = []
        for name, inner in rules.get("properties", {}).items():
            found += [f"{at}.{name}"] * (not inner.get("description")) + undescribed(inner, f"{at}.{name}")
        rest = rules.get("additionalProperties")
        return found + (undescribed(rest, f"{at}.*") if isinstance(rest, dict) else [])

    assert undescribed(schema(), "") == []


Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution `acme-<name>` whose module has this source."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, source: str) -> None:
        module = f"acme_{name}_in_{tmp_path.name}"
        (tmp_path / f"{module}.py").write_text(source)
        described = tmp_path / f"acme_{name}-1.2.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.2\n")
        (described / "entry_points.txt").write_text(f"[bridge.plugins]\n{name} = {module}\n")

    return make


PLUGIN = """
from bridge import ConnectorSpec, hookimpl

@hookimpl
def bridge_connectors():
    return [ConnectorSpec(name="shop", title="Shop", streams=(), mapping="m", open=print, {more})]
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("raise SystemExit('I end everything')", "SystemExit: I end everything"),
        (PLUGIN.format(more="settings={'type': 'objekt'}"), "its settings are no JSON Schema: 'objekt'"),
    ],
)
def test_a_broken_plugin_is_left_out_and_named_while_the_rest_runs(
    install: Install, source: str, said: str, tmp_path: Path
) -> None:
    install("shop", source)
    config = read(one_folder(more="  store: {connector: shop, settings: {token: x}}\n"), tmp_path)
    assert list(config.connections) == ["crm"]
    (left_out,) = config.left_out
    assert str(left_out).startswith(
        'config.yaml:5:11 connections.store.connector: connector "shop" from acme-shop 1.2 was left out: '
    )
    assert said in str(left_out)


def test_a_plugin_cannot_take_an_address_of_the_receiver_itself(install: Install, tmp_path: Path) -> None:
    install("shop", PLUGIN.format(more="settings={}, paths=('/metrics', '/hooks/crm')"))
    found = problems(one_folder(more="  till: {connector: shop}\n"), tmp_path)
    assert [one.message for one in found] == [
        "shop answers at /metrics, which crmbridge itself has already.",
        "shop answers at /hooks/crm, which the connection crm has already.",
    ]


def test_a_third_partys_secrets_and_paths_are_treated_like_ours(install: Install, tmp_path: Path) -> None:
    rules = {
        "type": "object",
        "properties": {
            "keys": {"type": "array", "items": {"type": "string", "writeOnly": True}},
            "files": {"type": "array", "items": {"type": "string", "format": "path"}},
        },
    }
    install("shop", PLUGIN.format(more=f"settings={rules!r}"))
    text = "connections: {till: {connector: shop, settings: {keys: ['${env:FOLDER_KEY}'], files: [a, /b]}}}\n"
    config = read(text, tmp_path)
    assert config.connections["till"].settings == {"keys": [SECRET], "files": [f"{tmp_path}/a", "/b"]}
    assert config.secrets == (SECRET,)
    plain = text.replace("'${env:FOLDER_KEY}'", f"'${{env:FOLDER_KEY}}', {SECRET}")
    assert str(problem(plain, tmp_path)).startswith(
        "config.yaml:1:78 connections.till.settings.keys[1]: a secret stands here in plain text."
    )


def test_how_much_may_change_at_once_is_said_whole_or_in_part(tmp_path: Path) -> None:
    def limits(push: str) -> tuple[float, int]:
        push_of = read(one_folder(more=f"    push: {push}\n"), tmp_path).connections["crm"].push
        assert push_of is not None
        return push_of.hold_above.share, push_of.hold_above.number

    assert limits("{}") == (0.05, 50)
    assert limits("{hold_above: {number: 200}}") == (0.05, 200)
    assert limits("{hold_above: {share: 0.2, number: 0}}") == (0.2, 0)
    told = problem(one_folder(more="    push: {hold_above: {share: 20}}\n"), tmp_path)
    assert told.path == "connections.crm.push.hold_above.share"
