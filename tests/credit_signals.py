"""The names under which the credits' migration is counted, for tests that count by hand."""

from control_plane.experiments.credits import CREDITS

FAILURE = CREDITS.signals.failure
ROUTED = CREDITS.signals.routed
UNCOUNTED, UNCOMPARED = CREDITS.signals.outcome_missing, CREDITS.signals.comparison_missing
FAILED_V2_ONLY, FAILED_LEGACY_ONLY = CREDITS.signals.failed_candidate_only, CREDITS.signals.failed_control_only
