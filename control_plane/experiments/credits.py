"""The credits' migration from legacy to v2. Pure."""

from control_plane.experiments.migration import Migration, MigrationSignals

FLAG = "ENABLE_CREDITS_V2"
CREDITS = Migration(
    flag=FLAG,
    control="legacy",
    candidate="v2",
    signals=MigrationSignals(
        routed="credit_routed",
        outcome_missing="credit_outcome_missing",
        comparison_missing="credit_comparison_missing",
        failure="credit_consumption_failure",
        failed_candidate_only="credit_failure_v2_only",
        failed_control_only="credit_failure_legacy_only",
        failure_discordant="credit_failure_discordant",
        serving_failure="credit_serving_failure",
        control_check="credit_control_check",
        difference="credit_variance",
        slow="credit_consumption_slow",
        shadow_skipped="credit_shadow_skipped",
    ),
)
