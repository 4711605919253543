"""Where the audit entry of a route or a command is shown, if not in `test_audit_coverage.py`, or why there is none."""

import re
from collections.abc import Mapping

ROUTES_ELSEWHERE: Mapping[str, str] = {
    "billing.apply_view": "tests/credits_engine/billing/reconciliation/test_jobs.py",
    "billing.dismiss_view": "tests/credits_engine/billing/reconciliation/test_jobs.py",
    "billing.prices_apply_view": "tests/credits_engine/billing/test_price_administration.py",
    **dict.fromkeys(
        ("billing_auto_top_ups.put_view", "billing_auto_top_ups.delete_view"),
        "tests/credits_engine/billing/auto_top_ups/test_api.py",
    ),
    "flag_versions.restore": "tests/flags/administration/test_flag_versions.py",
    "pages.erase_person": "tests/dashboards/views/test_erasures.py",
    "pages.import_flags": "tests/dashboards/views/test_flag_import.py",
    "pages.merge_users": "tests/dashboards/views/test_merges.py",
    **dict.fromkeys(("pages.put_member", "pages.remove_member"), "tests/dashboards/views/test_members.py"),
    "pages.close_finding": "tests/dashboards/views/test_billing.py",
    "pages.change_catalogue": "tests/dashboards/views/test_catalogue.py",
    **dict.fromkeys(
        ("pages.create_segment", "pages.create_segment_in", "pages.change_segment", "pages.remove_segment"),
        "tests/dashboards/views/test_segments.py",
    ),
    **dict.fromkeys(
        (
            "pages.create_flag",
            "pages.switch_flag",
            "pages.change_flag",
            "pages.restore_flag",
            "pages.change_definition",
        ),
        "tests/dashboards/views/test_flags.py",
    ),
    "pages.remove_flag": "tests/dashboards/views/test_flag_deleted.py",
    "credits_catalogue.apply_view": "tests/journeys/test_plan_by_data.py",
    "credits_members.add_view": "tests/credits_engine/administration/test_organisations.py",
    "credits_members.remove_view": "tests/credits_engine/administration/test_organisations.py",
    "erasures.erase_view": "tests/credits_engine/erasure/test_api.py",
    "billing.merge_view": "tests/credits_engine/billing/inbox/test_merges.py",
    "billing.link_view": "tests/credits_engine/billing/test_api.py",
    "billing.reconcile_view": "tests/credits_engine/billing/reconciliation/test_comparison.py",
    **dict.fromkeys(("billing.replay_view", "billing.replay_all_view"), "tests/credits_engine/billing/test_api.py"),
    "credits_remediation.approve": "tests/credits_engine/remediation/test_remediation.py",
    "pages.approve_corrections": "tests/credits_engine/remediation/test_remediation.py",
    **dict.fromkeys(
        ("pages.create_rollout", "pages.edit_plan", "pages.restore_plan"), "tests/dashboards/views/test_plans.py"
    ),
    **dict.fromkeys(("pages.compare_with_stripe", "pages.replay_event"), "tests/dashboards/views/test_billing.py"),
    **dict.fromkeys(
        ("checklists.sign", "checklists.withdraw", "pages.sign_item"), "tests/control_plane/checklists/test_api.py"
    ),
    **dict.fromkeys(
        ("plans.create", "plans.edit", "plans.restore"), "tests/control_plane/plans/test_administration.py"
    ),
    **dict.fromkeys(
        ("pages.approve", "pages.withdraw_approval", "rollouts.approve", "rollouts.withdraw_approval"),
        "tests/control_plane/rollouts/test_approvals.py",
    ),
    **dict.fromkeys(
        ("rollouts.archive_view", "rollouts.delete", "rollouts.revive"), "tests/control_plane/rollouts/test_archive.py"
    ),
    "people.reset_second_factor": "tests/dashboards/views/test_second_factor.py",
    "pages.reset_second_factor": "tests/dashboards/views/test_second_factor.py",
    "pages.enable_second_factor": "tests/dashboards/views/test_second_factor.py",
    "pages.remove_second_factor": "tests/dashboards/views/test_second_factor.py",
    **dict.fromkeys(
        ("pages.add_passkey", "pages.remove_passkey", "pages.sign_in_by_passkey"),
        "tests/dashboards/views/test_passkeys.py",
    ),
    "pages.change_language": "tests/dashboards/views/test_language.py",
    **dict.fromkeys(
        ("pages.end_own_session", "pages.end_other_sessions"), "tests/dashboards/views/test_own_sessions.py"
    ),
    "pages.sign_in": "tests/control_plane/platform/auth/test_sign_in_failures.py",
    "pages.confirm": "tests/control_plane/platform/auth/test_sign_in_failures.py",
    "rollouts.advance": "tests/control_plane/rollouts/test_service.py",
    "rollouts.rearm": "tests/control_plane/rollouts/test_service.py",
    "rollouts.step_back": "tests/control_plane/rollouts/test_service.py",
}
"""Routes whose entry takes a longer way, and the test that goes it."""

ROUTES_WITHOUT: Mapping[str, str] = {
    **dict.fromkeys(
        ("credits.commit_view", "credits.consume_view", "credits.release_view", "credits.reserve_view"),
        "an operation of the product: the journal of credits is its record",
    ),
    **dict.fromkeys(
        ("client_api.bulk_view", "client_api.edge_metrics_view", "client_api.metrics_view", "client_api.register_view"),
        "a report of an SDK about itself: decides nothing",
    ),
    **dict.fromkeys(("frontend_api.metrics_view", "frontend_api.register_view"), "the same, of a browser"),
    **dict.fromkeys(("alertmanager.post", "experiments.post", "signals.post"), "evidence, audited with its decision"),
    "stripe_webhook.receive": "stored word for word in the inbox",
    **dict.fromkeys(
        (
            "frontend_api.ask_view",
            "ofrep.all_view",
            "ofrep.one_view",
            "explanations.many",
            "edge_api.validate_view",
            "plans.preview_view",
            "billing.prices_preview_view",
            "credits_catalogue.preview_view",
            "billing_customers.preview_view",
        ),
        "POST for the sake of its body: changes nothing",
    ),
    "credits_user.check_view": "the same",
    "billing_customers.portal_view": "makes a link at Stripe, and nothing here",
    "pages.begin_second_factor": "shows a secret that does not count yet",
    "pages.new_passkey_question": "asks a device, which proves nothing yet",
    "pages.passkey_question": "the same",
    "pages.choose_theme": "a cookie of one's own browser",
}
"""Routes that change nothing that anybody decides, each with the reason."""

COMMANDS_ELSEWHERE: Mapping[str, str] = {
    "mcp": "tests/control_plane/mcp_server/test_server.py",
    **dict.fromkeys(("advance", "rearm", "step-back"), "tests/control_plane/rollouts/test_service.py"),
    "flags restore": "tests/flags/administration/test_flag_versions.py",
    "account reset-second-factor": "tests/dashboards/views/test_second_factor.py",
    "restore": "tests/credits_engine/restoring/test_restoring.py",
    "credits retire-legacy": "tests/credits_engine/migration/test_retirement.py",
    "credits remediation approve": "tests/credits_engine/remediation/test_remediation.py",
    **dict.fromkeys(("billing replay", "billing link"), "tests/credits_engine/billing/test_api.py"),
    **dict.fromkeys(("billing apply", "billing dismiss"), "tests/credits_engine/billing/reconciliation/test_jobs.py"),
    "billing prices apply": "tests/credits_engine/billing/test_price_administration.py",
    "credits members add": "tests/credits_engine/administration/test_organisations.py",
    "credits members remove": "tests/credits_engine/administration/test_organisations.py",
    "credits catalogue apply": "tests/journeys/test_plan_by_data.py",
    "users erase": "tests/credits_engine/erasure/test_api.py",
    "billing merge": "tests/credits_engine/billing/inbox/test_merges.py",
    "billing reconcile": "tests/credits_engine/billing/reconciliation/test_comparison.py",
    "guard drill": "tests/alerts/drill",
    "db distribute": "tests/credits_engine/administration/test_distribution.py",
    **dict.fromkeys(("plan apply", "plan restore"), "tests/control_plane/plans/test_administration.py"),
    **dict.fromkeys(("archive", "revive", "delete"), "tests/control_plane/rollouts/test_archive.py"),
    "flags edit": "tests/flags/test_cli.py",
    "approve": "tests/control_plane/rollouts/test_approvals.py",
    **dict.fromkeys(("checklist sign", "checklist withdraw"), "tests/control_plane/checklists/test_api.py"),
}
READING = """
serve, status, list, relay, db check-distribution, checklist show, load-test, explain, replay, demo, db upgrade
audit list, audit export
audit verify, token list, account list, override list, flags list, flags export, flags show, flags stale
flags check, flags versions, credits status, credits reconcile, credits verify, restore-test, credits switch-preview
credits usage top, credits usage show
credits aa-test, credits remediation list, credits remediation show, credits backfill, billing events
billing findings, billing show, billing prices export, billing prices diff, users erasures, credits catalogue export
credits members list
credits catalogue diff, plan versions, plan template, plan diff, plan schema, plan export, alerts check
alerts template, alerts show, alerts explain, alerts test, alerts export-prometheus, alerts export-grafana
guard drills, support-bundle
"""
COMMANDS_WITHOUT = frozenset(re.findall(r"[a-z]+(?:[ -][a-z]+)*", READING))
"""Commands that read, or work on a database of their own; `credits backfill` repeats what the journal then says."""
