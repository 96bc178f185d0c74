"""The mappings that are shipped: each loads, fits its connector, and keeps what its own tests promise."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from bridge import plugins, yaml_file
from bridge.mapping import load_mapping

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "mappings").glob("*.yaml"))


def test_there_are_mappings() -> None:
    assert {"memory", "hubspot", "whatsapp"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_mapping_fits_its_connector_and_passes_its_tests(path: Path) -> None:
    found = plugins.load([path.stem])
    assert not found.left_out
    streams = [stream.name for stream in found.specs[path.stem].streams]
    mapping = load_mapping(path, connector=path.stem, streams=streams)
    failed = [
        f"{path}:{result.line} {result.name}: {result.difference}"
        for result in mapping.run_tests()
        if not result.ok
    ]
    assert not failed, "\n".join(failed)
    untested = mapping.pull.keys() - {test.stream for test in mapping.tests}
    assert not untested, f"{path}: add a test for {', '.join(sorted(untested))}"
    for subject, rules in (("interaction", mapping.push_interaction), ("contact", mapping.push_contact)):
        assert rules is None or any(test.subject == subject for test in mapping.tests), (
            f"{path}: test push.{subject}"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_mapping_is_what_editors_are_told(path: Path) -> None:
    schema = json.loads((ROOT / "bridge/mapping/mapping.schema.json").read_bytes())
    judge = jsonschema.Draft7Validator(schema)
    content = yaml_file.load(path).value
    assert [f"{error.json_path}: {error.message}" for error in judge.iter_errors(content)] == []
