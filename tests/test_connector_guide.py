"""The guide for integrators: its connector is written down, installed and proved as the guide says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from bridge import connector
from bridge.testing.conformance import CHECKS

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "connectors.md").read_text()


def test_the_guides_connector_passes_the_suite_as_it_stands_there(tmp_path: Path) -> None:
    files = re.findall(r"```\w+\n# (\S+/?\S+\.\w+)\n(.*?)```", GUIDE, re.DOTALL)
    assert [name for name, _ in files] == [
        "bridge_acme/__init__.py",
        "bridge_acme/mapping.yaml",
        "pyproject.toml",
        "bridge_acme/sandbox.py",
        "tests/test_acme.py",
    ]
    for name, content in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    ran = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "error",
            "tests",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^\d\d passed in", ran.stdout, re.MULTILINE), ran.stdout


def test_every_test_of_the_suite_stands_in_the_guide_and_no_other() -> None:
    table = GUIDE.partition("### What the suite asks")[2].partition("What each lever has to do")[0]
    names = set(re.findall(r"`([a-z]+(?:_[a-z]+){2,})`", table))
    assert names == {check.name for check in CHECKS}


def test_every_lever_stands_in_the_guide() -> None:
    levers = {lever for check in CHECKS for lever in check.levers} - {"pages"}
    assert {lever for lever in levers if f"`{lever}`" not in GUIDE} == set()


def test_every_protocol_and_each_of_its_methods_stands_in_the_guide() -> None:
    lent = {"Capture", "Tokens", "Http", "Context"}
    for name, protocol in vars(connector).items():
        if getattr(protocol, "_is_protocol", False) and name not in lent and name != "Protocol":
            row = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{name}` |"))
            for method in (word for word in vars(protocol) if not word.startswith("_")):
                assert f"`{method}`" in row, f"{name}.{method}"
