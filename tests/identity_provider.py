"""A real identity provider for tests: `oidc-provider` of Node, certified by the OpenID Foundation, on loopback."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import requests

from tests.node import NODE, PROJECT, environment

SECRET = "the secret of the client, which the provider knows too"
CALLBACK = "http://localhost/sign-in/provider/done"
SIGNED_OUT = "http://localhost/sign-in"
START_SECONDS = 30
FORM = re.compile(r'action="([^"]+)"')
PROMPT = re.compile(r'name="prompt" value="([^"]+)"')


@dataclass(frozen=True)
class IdentityProvider:
    """The provider at `issuer`. Whoever types `nina:owners` is nina, a member of owners."""

    issuer: str

    def sign_in(self, address: str, name: str) -> str:
        """Answer its forms as a person does; returns the address to which the browser is sent back."""
        name, _, groups = name.partition(":")
        parameters = {"name": name, "groups": groups.replace("+", " ")}
        requests.get(f"{self.issuer}/groups", params=parameters, timeout=10).raise_for_status()
        browser = requests.Session()
        answer = browser.get(address, allow_redirects=False, timeout=10)
        while True:
            if answer.is_redirect:
                target = urljoin(answer.url, answer.headers["Location"])
                if target.startswith(CALLBACK):
                    return target
                answer = browser.get(target, allow_redirects=False, timeout=10)
                continue
            form, prompt = FORM.search(answer.text), PROMPT.search(answer.text)
            assert form, answer.text
            assert prompt, answer.text
            fields = {"prompt": prompt[1], "login": name, "password": "any"}
            answer = browser.post(urljoin(answer.url, form[1]), data=fields, allow_redirects=False, timeout=10)


@contextmanager
def running() -> Iterator[IdentityProvider]:
    """Yield the provider, as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command: list[str | Path] = [NODE, PROJECT / "provider.js", str(port), SECRET, CALLBACK, SIGNED_OUT]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        found = IdentityProvider(f"http://127.0.0.1:{port}")
        _wait(found, process)
        yield found
    finally:
        process.kill()
        process.communicate()


def _wait(provider: IdentityProvider, process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            requests.get(f"{provider.issuer}/.well-known/openid-configuration", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("The identity provider did not start.")
