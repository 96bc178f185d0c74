"""The documentation: generated parts are up to date, links lead somewhere, examples load, commands exist."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

import tests.docs
from bridge import hooks
from bridge.config import parse_config
from bridge.config import schema as config_schema
from bridge.errors import ConfigError
from bridge.mapping import compile_mapping
from bridge.mapping.transforms import TRANSFORMS
from bridge.plugins import mapping_file
from bridge.store.tables import metadata
from bridge.sync.intake import collect, interpret
from bridge.yaml_file import parse
from bridge_whatsapp.words import SKIPPED_FIELDS
from tests.docs import ROOT, names_in, pages, stale, written
from tests.docs.__main__ import main
from tests.docs.examples import Block, anchors, blocks, command_lines, links, prose
from tests.docs.parts import PARTS, command_tree, metric_names, specs

PAGES = {page.relative_to(ROOT).as_posix(): page for page in pages()}
EXAMPLES = [
    pytest.param(block, id=f"{name}:{block.line}")
    for name, page in PAGES.items()
    for block in blocks(page.read_text())
]
SECRET = "a-secret-of-the-examples-0123456789"
REFERENCE = re.compile(r"\$\{(?:env|file|command):[^}]*\}")


def doc(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


def test_the_generated_parts_are_up_to_date() -> None:
    assert [difference for _, _, difference in stale(PARTS)] == []


def test_every_part_the_program_writes_stands_on_a_page() -> None:
    used = {name for page in PAGES.values() for name in names_in(page.read_text())}
    assert PARTS.keys() - used <= {"settings hubspot"}  # which has a table of its own, checked below


def test_a_stale_page_is_shown_as_a_difference_and_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: exit codes -->\nold words\n<!-- end -->\nafter\n")
    monkeypatch.setattr(tests.docs, "ROOT", tmp_path)
    monkeypatch.setattr("tests.docs.__main__.ROOT", tmp_path)
    monkeypatch.setattr(tests.docs, "pages", lambda: [page])
    assert main(["--check"]) == 1
    assert "-old words" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert page.read_text().startswith("before\n<!-- generated: exit codes -->\n\n| code | meaning |\n")
    assert page.read_text().endswith("<!-- end -->\nafter\n")
    assert main(["--chekc"]) == 2


def test_a_part_that_nobody_writes_or_that_has_no_end_is_refused() -> None:
    with pytest.raises(ValueError, match='nothing writes the part "exit code"'):
        written("<!-- generated: exit code -->\n<!-- end -->\n", PARTS)
    with pytest.raises(ValueError, match="has no"):
        written("<!-- generated: exit codes -->\nwords\n", PARTS)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_image_leads_somewhere(name: str) -> None:
    page = PAGES[name]
    lost = []
    for target in links(page.read_text()):
        path, _, anchor = target.partition("#")
        goal = page.parent / path if path else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("block", EXAMPLES)
def test_every_example_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if block.language == "yaml":
        load_yaml(block.text, tmp_path, monkeypatch)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    else:
        assert block.language in ("", "sh", "python", "ini", "nginx"), "say how such an example is checked"


def load_yaml(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a configuration with its secrets in place, or compile a mapping and run its tests."""
    document = parse(text, file="example.yaml")
    if document.value.keys() >= {"version", "connector"}:
        results = compile_mapping(document, connector=None).run_tests()
        assert [result.difference for result in results if not result.ok] == []
        return
    assert document.value.keys() <= config_schema()["properties"].keys(), "neither configuration nor mapping"
    monkeypatch.setenv("SECRET", SECRET)
    shutil.copy(mapping_file(specs()["hubspot"]), folder / "hubspot.yaml")
    parse_config(REFERENCE.sub("${env:SECRET}", text), file="example.yaml", folder=folder)


def test_what_a_page_shows_is_seen() -> None:
    page = (
        '# A head, and more\n\n1. See [there](b.md#x), ![it](c.png), <img src="d.png"> and [far](https://example.com):\n\n'
        "   ```yaml\n   a: {b: 1}\n   ```\n\n```sh\nsudo -u crmbridge /opt/crmbridge/bin/crmbridge undo 2 # why\n```\n"
        "Or `crmbridge rejects replay R1` and the line `crmbridge 7F3A2C9KQ0XT`, not [this]`(e.md)`.\n"
    )
    assert links(page) == ["b.md#x", "c.png", "d.png"]
    assert command_lines(page) == [["undo", "2"], ["rejects", "replay", "R1"]]
    assert [(block.language, block.text, block.line) for block in blocks(page)] == [
        ("yaml", "a: {b: 1}\n", 6),
        ("sh", "sudo -u crmbridge /opt/crmbridge/bin/crmbridge undo 2 # why\n", 10),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("connections: {crm: {connector: hubspot, settings: {tokn: a}}}", "there is no such setting"),
        ("conections: {}", "neither configuration nor mapping"),
        ("version: 1\nconnector: x\npull: {a: {to: contact, fields: {nam: b}}}", "there is no such field"),
    ],
)
def test_a_wrong_example_is_noticed(
    text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((AssertionError, ConfigError), match=fault):
        load_yaml(text, tmp_path, monkeypatch)


def test_the_example_configuration_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_yaml((ROOT / "config.example.yaml").read_text(), tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PAGES)
def test_every_command_line_that_is_shown_exists(name: str) -> None:
    tree = command_tree()
    for words in command_lines(PAGES[name].read_text()):
        path: tuple[str, ...] = ()
        while words and (*path, words[0]) in tree:
            path = (*path, words.pop(0))
        command = tree[path]
        assert path or words in (["--version"], ["--help"]), f"crmbridge {' '.join(words)}"
        options = {option for one in command.params for option in one.opts if option.startswith("-")}
        unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
        arguments = [one for one in command.params if not one.opts[0].startswith("-")]
        assert path == () or unknown == [], f"crmbridge {' '.join((*path, *words))}"
        assert arguments or not words or words[0].startswith("-"), f"crmbridge {' '.join((*path, *words))}"


def test_every_command_is_documented() -> None:
    shown = doc("commands")
    for words, command in command_tree().items():
        if not getattr(command, "commands", None):
            assert f"### crmbridge {' '.join(words)}\n" in shown


@pytest.mark.parametrize("name", specs())
def test_every_setting_is_documented_on_the_page_of_its_connector(name: str) -> None:
    shown = doc(name)
    settings = specs()[name].settings["properties"]
    assert [setting for setting in settings if f"| `{setting}` |" not in shown] == []


def test_every_transform_is_documented() -> None:
    shown = doc("mappings")
    assert [name for name in TRANSFORMS if f"| `{name}` |" not in shown] == []


def test_every_hook_is_documented() -> None:
    found = [name for name, hook in vars(hooks).items() if hasattr(hook, f"{hooks.PROJECT}_spec")]
    assert found == ["bridge_connectors"]
    assert [
        name for name in found if f"`{name}`" not in doc("architecture") or name not in doc("connectors")
    ] == []


def test_every_table_of_the_store_is_explained() -> None:
    shown = doc("architecture")
    assert [
        name for name in metadata.tables if not re.search(rf"^\|[^|]*`{name}`", shown, re.MULTILINE)
    ] == []


def test_every_dependency_is_named_with_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
    ]
    names = {re.split(r"[\[<>=]", one)[0] for one in wanted}
    shown = set(re.findall(r"^\| ([\w-]+)(?: \(extra `\w+`\))? \|", doc("architecture"), re.MULTILINE))
    assert names - shown == set()
    for group in project["dependency-groups"].values():
        tools = {re.split(r"[\[<>=]", one)[0] for one in group if not one.startswith("types-")}
        assert {tool for tool in tools if tool not in doc("architecture")} == set()


def test_every_skip_rule_of_the_program_is_explained() -> None:
    shown = doc("commands")
    rules = {interpret.NEWSLETTERS, interpret.OURS, interpret.NO_RULE, collect.ERASED_RULE}
    assert {rule for rule in rules | set(SKIPPED_FIELDS.values()) if rule not in shown} == set()


def test_every_metric_that_is_mentioned_exists() -> None:
    mentioned = set(re.findall(r"`(crmbridge_[a-z_]+)[`{]", doc("operations"))) - {"crmbridge_key"}
    assert {name for name in mentioned if f"| `{name}` |" not in metric_names()} == set()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_speaks_of_the_machine_it_was_written_on(name: str) -> None:
    assert re.findall(r"(?<![\w.])/(?:work|root|home|tmp)/\S*", PAGES[name].read_text()) == []


def test_a_newcomer_finds_both_commands_on_the_first_screen() -> None:
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])
    for line in ("apt-get install -y make python3 python3-venv git", "make demo", "make test"):
        assert line in screen


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shouts(name: str) -> None:
    words = re.sub(r"`[^`]*`|!\[", "", prose(PAGES[name].read_text()))
    assert re.findall(r"\w+!", re.sub(r"<!--.*?-->", "", words)) == []
