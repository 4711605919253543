"""The kinds of audience that a phase can open, one module each; register another one here."""

from control_plane.audiences.allowlist import Allowlist
from control_plane.audiences.attributes import Attributes
from control_plane.audiences.base import register_audience
from control_plane.audiences.environments import Environments
from control_plane.audiences.everyone import Everyone
from control_plane.audiences.new_signups import NewSignups

for kind in (Environments(), Allowlist(), NewSignups(), Attributes(), Everyone()):
    register_audience(kind)
