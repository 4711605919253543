"""URL converters for row ids and keys: an id that no row can have is no address, a key may hold anything."""

from typing import Any

from flask import Flask
from werkzeug.routing import IntegerConverter, Map, PathConverter

from control_plane.platform.row_ids import ROW_ID_MAX


class RowIdConverter(IntegerConverter):
    """`<int:…>`: a number that a database's row may have. Any other leads nowhere, as the id of a missing row does."""

    def __init__(self, url_map: Map, *arguments: Any, **options: Any) -> None:
        super().__init__(url_map, *arguments, **{"max": ROW_ID_MAX} | options)


class KeyConverter(PathConverter):
    """`<path:…>`: any characters at all, line ends too, so that the route answers in the words of its protocol."""

    regex = r"[^/][\s\S]*?"


def init_app(app: Flask) -> None:
    """Let every route that is mounted from now on understand its address so."""
    app.url_map.converters |= {"int": RowIdConverter, "path": KeyConverter}
