"""The inbound API: who may send, what is refused and with which words, and how a repeat is told."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from api_cases import MESSAGE, NOW, PBX, SETTINGS, TOKEN, connector, problems, request, verified
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_spec_validator import validate
from starlette.requests import Request as Asked
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge import ConfigError, Reply, Request
from bridge.testing.context import make_context
from bridge.testing.server import LocalServer
from bridge_api import SPEC, open_api
from bridge_api.sandbox import SourceSandbox, call, form
from bridge_api.schema import MAX_BYTES, body_schema, openapi


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in MESSAGE.items() if key != name}


def test_a_good_interaction_is_stored_under_its_source() -> None:
    reply = verified(MESSAGE)
    assert (reply.status, reply.store, reply.sender) == (202, True, "website")
    assert orjson.loads(reply.body) == {"id": "m-1", "status": "stored"}
    assert reply.content_type == "application/json"
    assert verified(MESSAGE, token=PBX).sender == "telephone"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer the token of a forger",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        "Bearer \udcff",
        "Bearer тайна",
    ],
)
def test_without_the_token_of_a_source_nothing_is_read(authorization: str | None) -> None:
    reply = verified(MESSAGE, authorization=authorization)
    assert (reply.status, reply.store) == (401, False)
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN.encode() not in reply.body


def test_the_scheme_may_be_written_in_any_case() -> None:
    assert verified(MESSAGE, authorization=f"bearer {TOKEN}").status == 202


def test_two_sources_with_one_token_cannot_be_configured() -> None:
    same = {"sources": {"a": {"token": TOKEN}, "b": {"token": TOKEN}}}
    with pytest.raises(ConfigError, match=r"sources\.b\.token.*openssl") as caught:
        open_api(same, make_context(connection="inbound"))
    assert TOKEN not in str(caught.value)


def test_short_tokens_and_misspelt_settings_are_refused_by_the_schema() -> None:
    validator = Draft202012Validator(SPEC.settings)
    assert validator.is_valid(SETTINGS)
    assert not validator.is_valid({"sources": {"a": {"token": "short"}}})
    assert not validator.is_valid({"sources": {}})
    assert not validator.is_valid({**SETTINGS, "acount": "x"})


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (b"{", {}, 400),
        (b"", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[]", {}, 400),
        (b"null", {}, 400),
        (b'{"text": "\\ud83d"}', {}, 400),
        (b'{"custom": ' + b'{"a":' * 300 + b"1" + b"}" * 301, {}, 400),
        (MESSAGE, {"content_type": "text/plain"}, 415),
        (MESSAGE, {"content_type": None}, 415),
        (b" " * (MAX_BYTES + 1), {}, 413),
        (MESSAGE, {"method": "PUT"}, 405),
        (MESSAGE, {"method": "GET"}, 405),
        (MESSAGE, {"key": "k" * 201}, 422),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_stored(body: Any, more: dict[str, Any], status: int) -> None:
    reply = verified(body, **more)
    assert (reply.status, reply.store, reply.content_type) == (status, False, "application/problem+json")
    told = orjson.loads(reply.body)
    assert told["status"] == status
    assert told["detail"]


def test_a_charset_beside_the_content_type_is_fine() -> None:
    assert verified(MESSAGE, content_type="application/json; charset=utf-8").status == 202


@pytest.mark.parametrize(
    ("changed", "path", "message", "remedy"),
    [
        (without("kind"), "/kind", "is missing", "one of message, email, call"),
        (without("occurred_at"), "/occurred_at", "is missing", '"2026-11-18T14:02:00-03:00"'),
        (without("from"), "/from", "is missing", "Ana Souza"),
        ({**MESSAGE, "direction": "outbound"}, "/to", "is missing", "Ana Souza"),
        ({**MESSAGE, "kind": "mesage"}, "/kind", '"mesage" is not known', 'did you mean "message"?'),
        ({**MESSAGE, "sbject": "x"}, "/sbject", "is no field", 'did you mean "subject"?'),
        ({**MESSAGE, "zzz": 1}, "/zzz", "is no field", "known: id, kind"),
        ({**MESSAGE, "text": 7}, "/text", "7 is a number", "text in quotes"),
        ({**MESSAGE, "text": None}, "/text", "null is null", "text in quotes"),
        ({**MESSAGE, "text": ""}, "/text", "is empty", "leave it out"),
        ({**MESSAGE, "duration_s": -1}, "/duration_s", "-1 is too small", "0 or more"),
        ({**MESSAGE, "duration_s": True}, "/duration_s", "true is true or false", "a number"),
        ({**MESSAGE, "occurred_at": "2026-11-18"}, "/occurred_at", "offset from UTC", "-03:00"),
        ({**MESSAGE, "occurred_at": "2026-11-18T14:02:00"}, "/occurred_at", "offset from UTC", "-03:00"),
        ({**MESSAGE, "occurred_at": "2026-02-30T14:02:00Z"}, "/occurred_at", "offset", "-03:00"),
        ({**MESSAGE, "occurred_at": "2026-11-18T14:02:00Z\n"}, "/occurred_at", "offset", "-03:00"),
        ({**MESSAGE, "from": {"name": "Ana"}}, "/from", "names nobody", '"email", "phone", "id"'),
        ({**MESSAGE, "from": {"phone": "11 97391-4862"}}, "/from/phone", "country code", "+55 11"),
        ({**MESSAGE, "from": {"email": "ana"}}, "/from/email", '"ana" does not fit', "ana@padarialima"),
        ({**MESSAGE, "from": "Ana"}, "/from", '"Ana" is text', "an object"),
        ({**MESSAGE, "agent": {}}, "/agent", "is empty", "leave it out"),
        ({**MESSAGE, "attachments": [{"name": "a"}]}, "/attachments/0/url", "is missing", "add it"),
        ({**MESSAGE, "text": "x" * 200_001}, "/text", "200001 characters", "at most 200000"),
        ({"interactions": []}, "/interactions", "is empty", "fill it"),
        ({"interactions": [MESSAGE] * 1001}, "/interactions", "1001 items", "at most 1000"),
        ({"interactions": {}}, "/interactions", "{} is an object", "a list"),
        ({"interactions": [MESSAGE], "x/y~z": 1}, "/x~1y~0z", "is no field", "interactions"),
    ],
)
def test_each_fault_names_its_place_its_value_and_a_remedy(
    changed: Any, path: str, message: str, remedy: str
) -> None:
    (found,) = problems(changed)
    assert found[0] == path
    assert message in found[1]
    assert remedy in found[2]


def test_every_fault_of_a_batch_is_told_at_once_in_its_order() -> None:
    bad = {**without("kind"), "chanel": "fax", "state": "done"}
    body = {"interactions": [{**MESSAGE, "id": f"m-{number}"} for number in range(10)] + [bad, 7]}
    assert [path for path, _, _ in problems(body)] == [
        "/interactions/10/chanel",
        "/interactions/10/kind",
        "/interactions/10/state",
        "/interactions/11",
    ]


def test_one_id_twice_in_a_body_is_refused_since_one_would_replace_the_other() -> None:
    ((path, message, _),) = problems({"interactions": [MESSAGE, {**MESSAGE, "text": "other"}]})
    assert path == "/interactions/1/id"
    assert '"m-1" is also the id of /interactions/0' in message


def test_without_an_id_a_key_is_asked_for() -> None:
    ((path, message, remedy),) = problems(without("id"))
    assert (path, "Idempotency-Key" in message, "Idempotency-Key" in remedy) == ("/id", True, True)
    ((path, _, _),) = problems({"interactions": [MESSAGE, without("id")]})
    assert path == "/interactions/1/id"
    assert verified(without("id"), key="k-1").status == 202


def test_a_repeat_has_the_same_key_and_another_request_has_another() -> None:
    def key(body: Any, **more: Any) -> str | None:
        return verified(body, **more).idempotency_key

    other = {**MESSAGE, "id": "m-2"}
    assert key(MESSAGE) == key(MESSAGE)
    assert key(MESSAGE) == key({**MESSAGE, "text": "changed"})
    assert key({"interactions": [MESSAGE, other]}) == key({"interactions": [MESSAGE, other]})
    assert (
        len(
            {
                key(MESSAGE),
                key(other),
                key(MESSAGE, key="m-1"),
                key(MESSAGE, key="k"),
                key({"interactions": [MESSAGE, other]}),
                key({"interactions": [other, MESSAGE]}),
            }
        )
        == 6
    )


def test_a_batch_is_answered_with_its_ids() -> None:
    reply = verified({"interactions": [MESSAGE, without("id")]}, key="k")
    assert orjson.loads(reply.body) == {"ids": ["m-1", None], "status": "stored"}


def test_a_thousand_interactions_in_one_body_are_accepted() -> None:
    body = {"interactions": [{**MESSAGE, "id": f"m-{number}"} for number in range(1000)]}
    reply = verified(body)
    assert (reply.status, len(orjson.loads(reply.body)["ids"])) == (202, 1000)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*MESSAGE, "to", "agent", "interactions", "custom"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(MESSAGE)), VALUES, max_size=3).map(
        lambda some: {**MESSAGE, **some}
    )
    | st.lists(VALUES, max_size=3).map(lambda some: {"interactions": some})
    | VALUES
)
def test_any_json_is_stored_or_refused_with_at_least_one_reason(tree: Any) -> None:
    reply = connector().verify(request(json.dumps(tree).encode()))
    assert reply.store is (reply.status == 202)
    if reply.status == 422:
        assert all(problem["remedy"] for problem in orjson.loads(reply.body)["problems"])
        assert orjson.loads(reply.body)["problems"]


def test_the_stand_in_sends_what_the_api_takes() -> None:
    replies: list[Reply] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked(scope, receive)
        told = Request(
            method=asked.method,
            url=str(asked.url),
            query={},
            headers=dict(asked.headers),
            body=await asked.body(),
            received_at=NOW,
        )
        replies.append(connector().verify(told))
        await Response(replies[-1].body, replies[-1].status)(scope, receive, send)

    with LocalServer(app) as server:
        telephone = SourceSandbox(url=f"{server.url}/v1/interactions", token=PBX)
        rang = call("+5511973914862", at=NOW, id="call-1", seconds=42, agent="Rui")
        filled = form("Ana", "ana@b.example", "Quanto custa?", at=NOW, id="form-1", phone="+5511973914862")
        assert telephone.send(rang).json() == {"id": "call-1", "status": "stored"}
        assert telephone.send(rang, filled, key="k").json() == {
            "ids": ["call-1", "form-1"],
            "status": "stored",
        }
    assert [(reply.sender, reply.idempotency_key) for reply in replies] == [
        ("telephone", "id:call-1"),
        ("telephone", "key:k"),
    ]


# --- the description -------------------------------------------------------------------------


def described() -> Reply:
    return connector().verify(request(b"", method="GET", path="/v1/openapi.json", authorization=None))


def test_the_description_is_served_to_anybody_and_is_valid_openapi() -> None:
    reply = described()
    assert (reply.status, reply.store, reply.content_type) == (200, False, "application/json")
    tree = orjson.loads(reply.body)
    validate(tree)
    assert tree == openapi()
    assert set(tree["paths"]) == set(SPEC.paths)
    assert TOKEN.encode() not in reply.body


def test_the_body_schemas_are_valid_and_their_examples_fit() -> None:
    for name in ("Interaction", "Batch"):
        Draft202012Validator.check_schema(body_schema(name))
    for name, schema in openapi()["components"]["schemas"].items():
        for field, part in schema.get("properties", {}).items():
            for example in part.get("examples", []):
                assert Draft202012Validator(part).is_valid(example), f"{name}.{field}"


@pytest.mark.parametrize(
    "body", [MESSAGE, {"interactions": [MESSAGE]}, without("kind"), {"interactions": [without("id")]}]
)
def test_somebody_elses_reading_of_the_description_agrees_with_ours(body: Any) -> None:
    problem_json = {"application/problem+json": json.loads}
    api = OpenAPI.from_dict(openapi(), config=Config(extra_media_type_deserializers=problem_json))
    asked = MockRequest(
        "https://bridge.example",
        "post",
        "/v1/interactions",
        headers={"Authorization": f"Bearer {TOKEN}"},
        data=orjson.dumps(body),
        content_type="application/json",
    )
    ours = verified(body, key="k")
    theirs = list(api.iter_request_errors(asked))
    assert bool(theirs) is (ours.status == 422)
    answer = MockResponse(
        ours.body, status_code=ours.status, content_type=ours.content_type, headers=dict(ours.headers)
    )
    assert list(api.iter_response_errors(asked, answer)) == []
