"""What a real unleash-server 8.2.0 answers to requests of SDKs: status, content type, the parts; ours are alike.

`recorded/answers.json` holds these facts, and nothing of the server itself.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.installation import Installation

Call = Callable[..., TestResponse]
RECORDED = json.loads((Path(__file__).parent / "recorded" / "answers.json").read_text())
WRONG_TOKEN = f"*:development.{'0' * 32}"
WITHOUT_ROUTE = ("/api/frontend/client/features", "/api/frontend/health", "/api/frontend/all")
"""What no SDK asks for: refused with the same status, in a problem document as everywhere here."""
FEATURE: dict[str, Any] = {
    "name": "recorded",
    "enabled": True,
    "strategies": [
        {
            "name": "flexibleRollout",
            "parameters": {"rollout": "100", "stickiness": "default", "groupId": "recorded"},
            "constraints": [],
            "variants": [],
        }
    ],
    "variants": [],
}


def _id(recorded: dict[str, Any]) -> str:
    return f"{recorded['method']} {recorded['path']}: {recorded['says']}"


def _facts(status: int, headers: Mapping[str, str], body: bytes, recorded: dict[str, Any]) -> dict[str, Any]:
    """Return of an answer what is recorded of it."""
    document = json.loads(body) if body.startswith(b"{") else None
    found: dict[str, Any] = {
        "status": status,
        "content": headers.get("Content-Type", "").split(";")[0] if body else "",
        "keys": sorted(document) if document is not None else ("text" if body else "nothing"),
    }
    if "etag" in recorded["answer"]:
        found["etag"] = "ETag" in headers
    if origin := headers.get("Access-Control-Allow-Origin"):
        found["origin"] = origin
    return found


@pytest.mark.parametrize("recorded", RECORDED, ids=_id)
def test_a_request_is_answered_as_unleash_answers_it(
    call: Call, installation: Installation, recorded: dict[str, Any]
) -> None:
    call("POST", "/api/environments/production/import", kind="admin", json={"features": [FEATURE]})
    tokens = {kind: installation.token(kind) for kind in ("client", "frontend")} | {"wrong": WRONG_TOKEN}
    token = tokens.get(recorded["token"])
    headers = recorded.get("headers", {}) | ({"Authorization": token} if token else {})
    body = {"json": recorded["body"]} if "body" in recorded else {}
    answer = call(recorded["method"], recorded["path"], headers=headers, **body)
    ours, theirs = _facts(answer.status_code, dict(answer.headers), answer.data, recorded), recorded["answer"]
    if recorded["path"] in WITHOUT_ROUTE:
        assert (ours["status"], ours["content"]) == (theirs["status"], "application/problem+json")
        return
    # Ours may say more: a flag its dependencies, a refusal its number.
    assert {*theirs["keys"]} <= {*ours["keys"]}
    assert ours | {"keys": theirs["keys"]} == theirs
