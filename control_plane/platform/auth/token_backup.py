"""The tokens in force, kept on disk so that a process which starts during an outage locks nobody out.

The file holds digests, from which no token can be made.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import structlog
from pydantic import TypeAdapter, ValidationError

from control_plane.platform import private_files
from control_plane.platform.identity_types import Token

CODEC = TypeAdapter(list[Token])

log = structlog.get_logger()


def write(path: Path, tokens: Collection[Token]) -> None:
    """Replace the file at once: a reader sees the old one or the new one, never half of it."""
    content = CODEC.dump_json(list(tokens))
    private_files.make_folder(path.parent)
    with NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
        file.write(content)
    os.replace(file.name, path)  # the temporary file was made readable by this user alone


def read(path: Path) -> Mapping[str, Token]:
    """Return the tokens by selector; none where the file is missing, torn or from another version."""
    try:
        tokens = CODEC.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        log.warning("tokens.file_unusable", path=str(path), error=type(error).__name__)
        return {}
    return {token.selector: token for token in tokens}
