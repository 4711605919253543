"""The docs as a site: the README is its first page, and what pages link to beside the docs comes along.

MkDocs calls these functions by their names (`mkdocs.yml`, `hooks`).
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"\]\(\.\./(deploy/[^)#]+)")
DOCS = re.compile(r"(\]\()docs/")
DECISIONS = "](adr)"
ALSO_SHOWN = ".txt"
"""A browser shows a file of this kind in place of storing it."""


def on_files(files: Any, config: Any) -> Any:
    """Add the README, and the files of the deployment that pages link to."""
    first = DOCS.sub(r"\1", (ROOT / "README.md").read_text()).replace(DECISIONS, "](adr/README.md)")
    files.append(File.generated(config, "index.md", content=first))
    text = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    for name in sorted({*OUTSIDE.findall(text)}):
        files.append(File.generated(config, name + ALSO_SHOWN, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - MkDocs passes them by name
    """Point links to the deployment at the copies within the site."""
    return OUTSIDE.sub(rf"](\1{ALSO_SHOWN}", markdown)
