"""The official client over stdio, in front of a real server: what it is offered, told and refused, and what is kept."""

import asyncio
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Phase, Plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.installation import Installation
from tests.processes import free_port
from tests.serving import COMMAND, ROOT, serving

READS = {"list_rollouts", "rollout_status", "alert_verdicts", "explain_flag", "search_audit", "list_variances"}
MOVES = {"advance_rollout", "step_back_rollout", "hold_rollout", "resume_rollout", "roll_back"}
WHY = "The variance of last night is not explained yet."
Step = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of one call."""

    is_error: bool
    text: str
    document: Any


@dataclass(frozen=True, slots=True)
class ServedInstallation:
    """A served installation, and assistants that ask it."""

    url: str
    installation: Installation

    def ask(self, token: str, *steps: Step, moves: bool = False) -> tuple[list[str], list[ToolResult]]:
        """Start the command as an assistant does; give the tools that it offers, and what came of each step."""
        command = ["mcp", "--url", self.url, *(["--moves"] if moves else [])]
        parameters = StdioServerParameters(command=str(COMMAND), args=command, env={"ROLLOUT_TOKEN": token})
        return asyncio.run(_asked(parameters, steps))

    def token(self, role: str, **options: Any) -> str:
        """Return an admin token that is held to a role."""
        return self.installation.token("admin", "*", role=role, **options)

    def newest_entry(self) -> Any:
        """Return the newest entry about the rollout."""
        with self.installation.app.app_context(), read_only() as session:
            [entry] = audit.latest(session, subject=f"rollout:{FLAG}", limit=1)
            return entry


async def _asked(parameters: StdioServerParameters, steps: Sequence[Step]) -> tuple[list[str], list[ToolResult]]:
    async with Client(parameters) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        told = []
        for name, arguments in steps:
            result = await client.call_tool(name, arguments)
            text = "".join(getattr(part, "text", "") for part in result.content)
            told.append(ToolResult(bool(result.is_error), text, result.structured_content))
        return tools, told


@pytest.fixture(scope="module")
def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedInstallation]:
    place = tmp_path_factory.mktemp("assistant")
    shutil.copy(sqlite_template, place / "rollout.db")
    settings = Settings(
        database_url=f"sqlite:///{place / 'rollout.db'}", instance_dir=place, secret_key="-", background=False
    )
    with application(settings) as app:
        installation = Installation(app)
        installation.plan()
        with serving(place) as server:
            yield ServedInstallation(server.url, installation)


def test_a_viewers_token_reads_everything_and_is_offered_no_move(served: ServedInstallation) -> None:
    tools, told = served.ask(
        served.token("viewer"),
        ("list_rollouts", {}),
        ("rollout_status", {"flag": FLAG}),
        ("alert_verdicts", {"flag": FLAG}),
        ("explain_flag", {"flag": FLAG, "user_id": "ann"}),
        ("search_audit", {"flag": FLAG, "limit": 5}),
        ("list_variances", {}),
    )
    assert set(tools) == READS
    rollouts, status, verdicts, explained, trail, variances = told
    assert [each["flag"] for each in rollouts.document["rollouts"]] == [FLAG]
    assert (status.document["phase"], status.document["version"]) == ("development", 1)
    assert verdicts.document["flag"] == FLAG
    assert explained.document["value"] is False
    assert trail.document["entries"][-1]["reason"]
    assert variances.is_error, "variances are an owner's"
    assert "FORBIDDEN" in variances.text or "owner" in variances.text


def test_an_operator_makes_it_safer_with_a_reason_and_the_trail_names_the_token(served: ServedInstallation) -> None:
    tools, (short, held, advanced, resumed) = served.ask(
        served.token("operator"),
        ("hold_rollout", {"flag": FLAG, "reason": "No."}),
        ("hold_rollout", {"flag": FLAG, "reason": WHY}),
        ("advance_rollout", {"flag": FLAG, "version": 2, "reason": WHY, "approve_unknown_gates": True}),
        ("resume_rollout", {"flag": FLAG, "reason": "It is explained now."}),
        moves=True,
    )
    assert set(tools) == READS | MOVES
    assert short.is_error
    assert not held.is_error, held.text
    assert advanced.is_error, "exposing more is an owner's"
    assert not resumed.is_error
    entry = served.newest_entry()
    assert (entry.action, entry.reason, entry.actor) == (
        "rollout.resume",
        "It is explained now.",
        "token:a admin token",
    )


def test_an_owners_assistant_approves_no_unknown_gate_by_giving_a_reason(served: ServedInstallation) -> None:
    owner = served.token("owner")
    _, (status,) = served.ask(owner, ("rollout_status", {"flag": FLAG}))
    unknown = [gate["name"] for gate in status.document["gates"] if gate["status"] == "unknown"]
    assert unknown, "a new installation has gates that can't be known yet"
    step = {"flag": FLAG, "version": status.document["version"], "reason": WHY}
    _, (refused, after) = served.ask(owner, ("advance_rollout", step), ("rollout_status", {"flag": FLAG}), moves=True)
    assert refused.is_error
    assert "A person has to approve" in refused.text
    assert after.document["version"] == status.document["version"], "nothing was moved"


def test_the_page_names_every_tool_and_no_other() -> None:
    page = (ROOT / "docs" / "assistants.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page) if name != "approve_unknown_gates"}
    assert named == READS | MOVES


def test_a_version_that_was_changed_since_is_refused(served: ServedInstallation) -> None:
    owner = served.token("owner")
    _, (refused, mistyped) = served.ask(
        owner,
        ("step_back_rollout", {"flag": FLAG, "version": 99, "reason": WHY}),
        ("rollout_status", {"flag": "../accounts?x=1#y"}),
        moves=True,
    )
    assert refused.is_error
    assert "version" in refused.text
    assert mistyped.is_error
    assert "accounts?x=1" in mistyped.text, "a flag is a part of the path, whatever is in it"


@pytest.mark.parametrize(("token", "said"), [("nonsense", "token"), ("*:*.v2_nonsense", "token")])
def test_a_wrong_token_is_told_in_a_sentence(served: ServedInstallation, token: str, said: str) -> None:
    _, (told,) = served.ask(token, ("list_rollouts", {}))
    assert told.is_error
    assert said in told.text.lower()


def test_a_server_that_is_away_is_told_in_a_sentence(served: ServedInstallation) -> None:
    gone = ServedInstallation(f"http://127.0.0.1:{free_port()}", served.installation)
    _, (read, moved) = gone.ask("any", ("list_rollouts", {}), ("roll_back", {"flag": FLAG, "reason": WHY}), moves=True)
    assert "gave no answer" in read.text
    assert "may have been done all the same" in moved.text


def test_a_token_of_staging_moves_the_rollout_of_staging_and_not_the_flags(served: ServedInstallation) -> None:
    now, name = datetime.now(UTC), f"{FLAG}@staging"
    everyone = Phase("everyone", "Everyone", "everyone", (50, 100), timedelta(0))
    with served.installation.app.app_context(), transaction() as session:
        plan, change = Plan((everyone,), now, environment="staging"), ChangeContext(now, "test", WHY)
        rollouts.plan(session, name, plan, change, confirm_losing=True)
    _, (held, status, refused) = served.ask(
        served.installation.token("admin", environment="staging", role="operator"),
        ("hold_rollout", {"flag": name, "reason": WHY}),
        ("rollout_status", {"flag": name}),
        ("hold_rollout", {"flag": FLAG, "reason": WHY}),
        moves=True,
    )
    assert not held.is_error, held.text
    assert (status.document["environment"], status.document["state"]) == ("staging", "held")
    assert refused.is_error
