"""Configurations for tests: reading one from text, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import Config, parse_config
from bridge.errors import ConfigError, Problem

SECRET = "pat-na1-0f1e2d3c4b5a"


def read(text: str, folder: Path) -> Config:
    return parse_config(text, file="config.yaml", folder=folder)


def problems(text: str, folder: Path) -> list[Problem]:
    """Return what is wrong with a configuration; fails where nothing is."""
    with pytest.raises(ConfigError) as caught:
        read(text, folder)
    assert SECRET not in str(caught.value)
    return list(caught.value.problems)


def problem(text: str, folder: Path) -> Problem:
    (found,) = problems(text, folder)
    return found


def one_folder(settings: str = "{directory: here, key: '${env:FOLDER_KEY}'}", more: str = "") -> str:
    """Return a configuration with one connection `crm`, its settings and what else stands in it."""
    return f"connections:\n  crm:\n    connector: memory\n    settings: {settings}\n{more}"


def key_of(config: Config) -> str:
    return str(config.connections["crm"].settings["key"])
