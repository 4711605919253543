"""The kinds of audience that a phase can open; register another one here, from a module of its own."""

from control_plane.audiences.base import register_audience
from control_plane.audiences.kinds import Allowlist, Attributes, Environments, Everyone, NewSignups

for kind in (Environments(), Allowlist(), NewSignups(), Attributes(), Everyone()):
    register_audience(kind)
