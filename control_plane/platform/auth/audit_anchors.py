"""Anchors: the end of the audit trail, noted again and again where who can write the database can't.

Only such a note tells that a trail was cut off together with the record of its end. Every change of the end is noted
within five minutes in the instance folder, and wherever `AUDIT_ANCHORS` says.
"""

import hashlib
import json
import os
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.platform import private_files
from control_plane.platform.auth import audit_head
from control_plane.platform.auth.audit_head import End
from control_plane.platform.db.database import read_only
from control_plane.platform.extensions import AppState
from control_plane.platform.models import AuditEntryRow
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import current

KEPT_IN, KEPT_SHA256 = "audit_kept_in", "audit_kept_sha256"
"""Where the entry of a restore says which file has the trail that was replaced."""
FILE_NAME = "audit-anchors.jsonl"
EXPORT_SECONDS = 300.0
SEND_SECONDS = 5.0
SEAL = "seal"

log = structlog.get_logger()


class AnchorError(ValueError):
    """The text is no anchor of an audit trail, or one that somebody else wrote; the message says what to do."""


LAST_EXPORTED = AppState[dict[str, End]]("audit_last_exported", dict)
"""By target, the end that it took last; what a target did not take is sent again."""


def parse(text: str) -> End:
    """Read an anchor as `rollout audit verify` prints it. Raises AnchorError."""
    entries, _, rest = text.strip().partition(":")
    last_id, _, last_hash = rest.partition(":")
    if not (_is_number(entries) and _is_number(last_id) and last_hash):
        raise AnchorError("An anchor has the form ENTRIES:ID:HASH; `rollout audit verify` prints one.")
    return End(int(entries), int(last_id), last_hash)


def read_file(path: Path) -> list[End]:
    """Read a file of anchors, one a line, as the export writes them or alone. Raises AnchorError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnchorError(f"The anchors in {path} can't be read: {error}.") from error
    found = (_line(each, number, path) for number, each in enumerate(lines, start=1) if each.strip())
    return [end for end in found if end is not None]


def own_file() -> Path:
    """Return the file in the instance folder; it need not exist."""
    return current().instance_dir / FILE_NAME


def export(now: datetime) -> None:
    """Note the end of the trail at every target that has not taken it yet; a target that fails gets it next time."""
    with read_only() as session:
        end = audit_head.sealed_end(session)
    # An end without our seal is nobody's word: an anchor of it would give it one.
    if end is None or not end.entries:
        return
    text = json.dumps(_document(end, now))
    taken = LAST_EXPORTED.get()
    for target in (f"file:{own_file().absolute()}", *current().audit_anchors):
        if taken.get(target) == end:
            continue
        try:
            _send(target, text, end)
        except OSError as error:
            log.warning("audit.anchor_not_taken", target=_host(target), error=type(error).__name__)
        else:
            taken[target] = end


def explained(session: Session, lost: Collection[End]) -> dict[End, str]:
    """Say of each of these anchors which restore cut its entry off, where the trail says so and the file it names fits.

    The file of a replaced trail is believed only if its content has the hash that the sealed trail records; what it
    says of restores before it then counts too.
    """
    found: dict[End, str] = {}
    wanted = {end.last_hash: end for end in lost}
    name = AuditEntryRow.after[KEPT_IN].as_string()
    query = select(AuditEntryRow.at, AuditEntryRow.after).where(name.is_not(None)).order_by(AuditEntryRow.id)
    restores = [(at.isoformat(), after) for at, after in session.execute(query)] if wanted else []
    while restores:
        at, after = restores.pop()
        for entry in _replaced_entries(str(after[KEPT_IN]), str(after.get(KEPT_SHA256))):
            if entry["hash"] in wanted:
                found[wanted[entry["hash"]]] = f"cut off by the restore of {at[:16]}, kept in {after[KEPT_IN]}"
            if KEPT_IN in (entry["after"] or {}):
                restores.append((entry["at"], entry["after"]))
    return found


def init_app(app: Flask) -> None:
    """Let the leader note the end."""
    jobs.run_on_leader(app, EXPORT_SECONDS, "export-audit-anchor", export)


def _document(end: End, now: datetime) -> dict[str, object]:
    return {"at": now.isoformat(), "anchor": end.anchor, SEAL: audit_head.sign(f"anchor {end.anchor}")}


def _send(target: str, text: str, end: End) -> None:
    if target == "log":
        log.info("audit.anchor", anchor=end.anchor)
    elif target.startswith("file:"):
        _append(Path(target.removeprefix("file:")), text)
    else:
        import requests  # noqa: PLC0415 - heavy, and hardly anybody has such a target

        headers = {"Content-Type": "application/json"}
        answer = requests.post(target, data=text, headers=headers, timeout=SEND_SECONDS, allow_redirects=False)
        if answer.status_code >= 300:
            raise requests.HTTPError(f"answered {answer.status_code}")


def _append(path: Path, text: str) -> None:
    """Add a line, after the end of one that a power cut may have left."""
    number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, private_files.MODE)
    with os.fdopen(number, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
        half = b"\n" if size and file.read(1) != b"\n" else b""
        file.write(half + text.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _line(text: str, number: int, path: Path) -> End | None:
    """Return the anchor of a line; None for the half of one that a power cut left."""
    if not text.startswith("{"):
        return parse(text)
    try:
        document = json.loads(text)
        anchor, seal = str(document["anchor"]), str(document[SEAL])
    except (ValueError, KeyError, TypeError):
        return None
    if not any(audit_head.sign(f"anchor {anchor}", secret) == seal for secret in current().secret_keys):
        sentence = "was changed, or written with another SECRET_KEY (name that in SECRET_KEY_FALLBACKS)"
        raise AnchorError(f"Line {number} of {path} {sentence}.")
    return parse(anchor)


def _replaced_entries(name: str, sha256: str) -> list[dict[str, Any]]:
    try:
        content = (current().instance_dir / Path(name).name).read_bytes()
    except OSError:
        return []
    if hashlib.sha256(content).hexdigest() != sha256:
        return []
    return [json.loads(line) for line in content.splitlines()]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 19


def _host(target: str) -> str:
    """Return what a log may say of a target: an address may hold a secret in its path."""
    return urlsplit(target).netloc.rpartition("@")[2] if target.startswith("http") else target
