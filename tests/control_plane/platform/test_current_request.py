from flask import Flask, request

from control_plane.platform.current_request import environ, find_environ


def test_the_environ_is_the_requests_own_and_none_where_no_request_is_answered(app: Flask) -> None:
    with app.test_request_context("/healthz", environ_overrides={"rollout.mark": "here"}):
        assert environ() is request.environ
        assert (find_environ() or {})["rollout.mark"] == "here"
    assert find_environ() is None
