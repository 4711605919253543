"""What groups give: the highest role for each place, and nothing for those that are not named."""

import pytest

from control_plane.platform.group_roles import GroupRolesError, parse, roles_of
from control_plane.platform.identity_types import Grant, Role

GIVEN = parse(["a=viewer", "b=owner", "c=operator:F", "d=approver:F", "d=owner:G:staging", "two words=admin"])


@pytest.mark.parametrize(
    ("groups", "role", "grants"),
    [
        ([], None, []),
        (["x", 3, None], None, []),
        (["a"], Role.VIEWER, []),
        (["a", "b"], Role.OWNER, []),
        (["c"], Role.VIEWER, [Grant(Role.OPERATOR, "F")]),
        (["d", "c"], Role.VIEWER, [Grant(Role.APPROVER, "F"), Grant(Role.OWNER, "G", "staging")]),
        (["two words"], Role.ADMIN, []),
    ],
)
def test_the_highest_counts_in_each_place(groups: list[object], role: Role | None, grants: list[Grant]) -> None:
    assert roles_of(groups, GIVEN) == (role, grants)


@pytest.mark.parametrize("entry", ["a", "a=", "=owner", "a=king", "a=admin:F", "a=owner:F:", "a=owner:F:x:y"])
def test_an_entry_that_can_not_be_read_is_named(entry: str) -> None:
    with pytest.raises(GroupRolesError, match=r"entry|place"):
        parse([entry])
