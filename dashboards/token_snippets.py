"""How a service begins with its new token, in Python, Node and curl, with this server's address filled in. Pure.

The token itself stands in the environment alone: what is pasted into code is committed.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from control_plane.platform.identity_types import TokenType
from dashboards.language import gettext

VARIABLE = "FLAGS_TOKEN"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of code or of a shell, and what it is for."""

    name: str
    title: str
    text: str


def snippets(token_type: TokenType, address: str, secret: str) -> Sequence[Snippet]:
    """Return what to paste where; the first puts the token into the environment of the service."""
    export = Snippet("export", gettext("Environment of the service"), f"export {VARIABLE}={shlex.quote(secret)}")
    return [export, *BY_TYPE[token_type](address)]


def _client(address: str) -> Sequence[Snippet]:
    api = json.dumps(f"{address}/api")
    python = f"""import os
from UnleashClient import UnleashClient

client = UnleashClient(
    url={api},
    app_name="my-service",
    custom_headers={{"Authorization": os.environ["{VARIABLE}"]}},
)
client.initialize_client()
print(client.is_enabled("MY_FLAG", {{"userId": "42"}}))
client.destroy()"""
    node = f"""const {{ startUnleash }} = require("unleash-client");

startUnleash({{
  url: {api},
  appName: "my-service",
  customHeaders: {{ Authorization: process.env.{VARIABLE} }},
}}).then((client) => {{
  console.log(client.isEnabled("MY_FLAG", {{ userId: "42" }}));
  client.destroy();
}});"""
    return [
        Snippet("python", "Python (pip install UnleashClient)", python),
        Snippet("node", "Node (npm install unleash-client)", node),
        Snippet("curl", "curl", _curl(address, "/api/client/features")),
    ]


def _frontend(address: str) -> Sequence[Snippet]:
    return [_python(address, "/api/frontend?userId=42"), *_fetch_and_curl(address, "/api/frontend?userId=42")]


def _admin(address: str) -> Sequence[Snippet]:
    return [_python(address, "/api/rollouts"), *_fetch_and_curl(address, "/api/rollouts")]


def _service(address: str) -> Sequence[Snippet]:
    path, body = "/api/credits/consume", {"userId": "42", "analysis": 1, "idempotencyKey": "order-1"}
    return [_python(address, path, body), *_fetch_and_curl(address, path, body)]


def _fetch_and_curl(address: str, path: str, body: Mapping[str, object] | None = None) -> Sequence[Snippet]:
    given = [f'  headers: {{ Authorization: process.env.{VARIABLE}, "Content-Type": "application/json" }},']
    if body is not None:
        given = ['  method: "POST",', *given, f"  body: JSON.stringify({json.dumps(body)}),"]
    options = "\n".join(given)
    node = f"""fetch({json.dumps(address + path)}, {{
{options}
}})
  .then((response) => response.json())
  .then(console.log);"""
    return [Snippet("node", "Node", node), Snippet("curl", "curl", _curl(address, path, body))]


def _python(address: str, path: str, body: Mapping[str, object] | None = None) -> Snippet:
    data = "" if body is None else f"\n    data=json.dumps({json.dumps(body)}).encode(),"
    text = f"""import json
import os
from urllib.request import Request, urlopen

request = Request(
    {json.dumps(address + path)},{data}
    headers={{"Authorization": os.environ["{VARIABLE}"], "Content-Type": "application/json"}},
)
print(json.load(urlopen(request)))"""
    return Snippet("python", "Python", text)


def _curl(address: str, path: str, body: Mapping[str, object] | None = None) -> str:
    arguments = ["curl", "-s", "-H", f'"Authorization: ${VARIABLE}"']
    if body is not None:
        arguments += ["-H", '"Content-Type: application/json"', "-d", shlex.quote(json.dumps(body))]
    return " ".join([*arguments, shlex.quote(address + path)])


BY_TYPE: Mapping[TokenType, Callable[[str], Sequence[Snippet]]] = {
    TokenType.CLIENT: _client,
    TokenType.FRONTEND: _frontend,
    TokenType.ADMIN: _admin,
    TokenType.SERVICE: _service,
}
