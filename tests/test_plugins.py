"""Discovery: only what is named is imported, and one broken plugin never stops the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge import plugins

GOOD = """
    from bridge import ConnectorSpec, hookimpl

    SPEC = ConnectorSpec(
        name="{name}", title="t", streams=(), settings={{}}, mapping="m", open=lambda settings, context: None{more}
    )

    @hookimpl
    def bridge_connectors():
        return [SPEC]
"""

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution `acme-<name>` with one plugin module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, source: str) -> None:
        module = f"acme_{name}_of_{tmp_path.name}"
        lines = source.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
        (tmp_path / f"{module}.py").write_text("\n".join(line[indent:] for line in lines) + "\n")
        described = tmp_path / f"acme_{name}-1.2.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.2\n")
        (described / "entry_points.txt").write_text(f"[bridge.plugins]\n{name} = {module}\n")

    return make


def test_a_third_partys_connector_loads_beside_our_own(install: Install) -> None:
    install("crm", GOOD.format(name="crm", more=""))
    loaded = plugins.load(["crm", "memory"])
    assert sorted(loaded.specs) == ["crm", "memory"]
    assert loaded.left_out == ()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_module_nobody_has", "ModuleNotFoundError: No module named 'a_module_nobody_has'"),
        ("def bridge_connectors(:", "SyntaxError"),
        ("", 'its hook bridge_connectors returns no connector named "crm"'),
        (GOOD.format(name="csm", more=""), 'its hook bridge_connectors returns no connector named "crm"'),
        (
            "from bridge import hookimpl\n@hookimpl\ndef bridge_connectors():\n    return ['crm']\n",
            'its hook bridge_connectors returns no connector named "crm"',
        ),
        (
            "from bridge import hookimpl\n@hookimpl\ndef bridge_connectors():\n    return 1 / 0\n",
            "ZeroDivisionError",
        ),
        (
            "from bridge import hookimpl\n@hookimpl\ndef bridge_conectors():\n    return []\n",
            "PluginValidationError: unknown hook 'bridge_conectors'",
        ),
        (
            GOOD.format(name="crm", more=", contract=2"),
            "it was written for contract 2, this crmbridge speaks 1. Install a release",
        ),
    ],
    ids=["raises", "import", "syntax", "no hook", "other name", "no spec", "hook raises", "typo", "contract"],
)
def test_a_broken_plugin_is_named_with_its_distribution_and_left_out(
    install: Install, source: str, said: str
) -> None:
    install("crm", source)
    loaded = plugins.load(["crm", "memory"])
    assert list(loaded.specs) == ["memory"]
    (error,) = loaded.left_out
    assert str(error).startswith('connector "crm" from acme-crm 1.2 was left out: ')
    assert said in str(error)


def test_a_misspelt_connector_gets_the_nearest_name() -> None:
    loaded = plugins.load(["hubspott"])
    (error,) = loaded.left_out
    assert 'connector "hubspott" is not installed. Did you mean "hubspot"? Installed: ' in str(error)


def test_a_name_like_no_other_gets_the_list_alone() -> None:
    (error,) = plugins.load(["zzz"]).left_out
    assert "Did you mean" not in str(error)
    assert "hubspot" in str(error)


def test_only_the_named_plugins_are_imported() -> None:
    program = (
        "import sys\n"
        "from bridge import plugins\n"
        "plugins.installed()\n"
        "plugins.load(['memory'])\n"
        "print(sorted(name for name in sys.modules if name.startswith('bridge_') and '.' not in name))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['bridge_memory']"


def test_every_built_in_connector_is_an_entry_point_like_any_other() -> None:
    installed = plugins.installed()
    folders = {path.name for path in (Path(__file__).parent.parent / "plugins").glob("bridge_*")}
    assert {point.value for point in installed.values()} >= folders


def test_naming_a_connector_twice_loads_it_once() -> None:
    assert list(plugins.load(["memory", "memory"]).specs) == ["memory"]


@pytest.mark.parametrize("module", ["bridge_hubspot.sandbox", "bridge_pipedrive.sandbox"])
def test_a_stand_in_started_without_its_extra_names_what_to_install(module: str) -> None:
    start = f"import runpy, sys; sys.modules['nh3'] = None; runpy.run_module({module!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "nh3 is not installed: a stand-in needs what the extra `testing` brings."
        " Install it: pip install 'crmbridge[testing]', or in a checkout: pip install '.[testing]'\n"
    )
