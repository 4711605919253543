"""What Unleash writes when it exports, by its documented form: a batch, and one feature of its admin API."""

from typing import Any

GRADUAL = {
    "id": "4c6cba0c-0b5a-4e3e-8f4d-2c1f0d8a6c01",
    "featureName": "checkout",
    "name": "flexibleRollout",
    "title": "A quarter",
    "parameters": {"groupId": "checkout", "rollout": "25", "stickiness": "userId"},
    "constraints": [
        {"contextName": "plan", "operator": "IN", "values": ["pro"], "inverted": False, "caseInsensitive": False}
    ],
    "segments": [3],
    "sortOrder": 1,
    "disabled": False,
    "variants": [],
}
FIRST = GRADUAL | {
    "id": "4c6cba0c-0b5a-4e3e-8f4d-2c1f0d8a6c02",
    "title": None,
    "name": "userWithId",
    "parameters": {"userIds": "ann,ben"},
    "constraints": [],
    "segments": [],
    "sortOrder": 0,
}


def feature(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"About {name}",
        "type": "release",
        "project": "default",
        "stale": False,
        "impressionData": True,
        "archived": False,
        "variants": [],
        **fields,
    }


def environment(name: str, *, enabled: bool, of: str = "development", **fields: Any) -> dict[str, Any]:
    return {"name": name, "featureName": name, "environment": of, "enabled": enabled, "variants": [], **fields}


BATCH: dict[str, Any] = {
    "features": [feature("checkout"), feature("search", stale=True), feature("child")],
    "featureStrategies": [GRADUAL, FIRST, FIRST | {"featureName": "search", "name": "ours", "parameters": {}}],
    "featureEnvironments": [
        environment(
            "checkout",
            enabled=True,
            variants=[
                {"name": "blue", "weight": 1000, "weightType": "variable", "stickiness": "default", "overrides": []}
            ],
        ),
        environment("search", enabled=True),
        environment("child", enabled=False),
    ],
    "contextFields": [{"name": "plan", "description": "", "stickiness": True, "sortOrder": 1, "legalValues": []}],
    "featureTags": [
        {"featureName": "checkout", "tagType": "simple", "tagValue": "shop"},
        {"featureName": "checkout", "tagType": "team", "tagValue": "payments"},
    ],
    "segments": [{"id": 3, "name": "pros"}],
    "tagTypes": [{"name": "simple", "description": "", "icon": "#"}],
    "dependencies": [{"feature": "child", "dependencies": [{"feature": "checkout", "enabled": True}]}],
}
SEGMENT = {
    "id": 3,
    "name": "pros",
    "description": "Who pays",
    "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro", "team"]}],
    "createdBy": "admin",
}
SINGLE: dict[str, Any] = feature("banner", favorite=False) | {
    "tags": [{"type": "simple", "value": "web"}],
    "environments": [
        {"name": "development", "enabled": True, "type": "development", "strategies": [{"name": "default"}]},
        {
            "name": "production",
            "enabled": False,
            "type": "production",
            "strategies": [{**GRADUAL, "featureName": "banner", "segments": []}],
            "variants": [],
        },
    ],
}
