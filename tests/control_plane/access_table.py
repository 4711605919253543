"""What every route needs, written down apart from the code: the authorization matrix holds the two together."""

from collections.abc import Mapping

TABLE = """
viewer    alert_overrides.index alertmanager.received alerts.index alerts.show audit.export audit.index
viewer    credits_catalogue.catalogue_view pages.catalogue
operator  credits_members.members_view
owner     credits_journal.export_view credits_members.add_view credits_members.remove_view
owner     credits_catalogue.apply_view credits_catalogue.preview_view credits_review.near_limit_view
viewer    billing.findings_view billing.prices_preview_view billing.prices_view
viewer    checklists.index pages.approvals_of pages.checklists pages.connections pages.plan
viewer    billing.events_view billing.summary_view billing.user_view connections.index connections.measurements
viewer    connections.usage definitions.export_view definitions.index explanations.many explanations.one notices.index
viewer    flag_versions.index pages.stale stale_flags.index
owner     flag_versions.restore
viewer    plans.schema plans.show plans.templates plans.version plans.versions rollouts.approvals_view
viewer    flag_edits.environments flag_edits.fields_view flag_edits.show segments.segments
viewer    pages.glossary pages.segment pages.segments

viewer    pages.begin_second_factor pages.enable_second_factor pages.remove_second_factor
viewer    pages.add_passkey pages.change_language pages.new_passkey_question pages.remove_passkey
viewer    pages.end_other_sessions pages.end_own_session
viewer    overrides.index pages.account pages.alert pages.alerts pages.audit_trail pages.change_own_password
viewer    pages.explain pages.live_alerts pages.live_rollout pages.live_rollouts pages.rollout pages.rollouts
viewer    pages.system pages.users rollouts.history rollouts.index rollouts.show
operator  plans.preview_view rollouts.approve pages.billing pages.billing_event pages.replay_event
operator  checklists.sign checklists.withdraw pages.approve pages.sign_item
operator  pages.withdraw_approval rollouts.withdraw_approval
operator  alert_overrides.end billing.event_view billing.replay_all_view billing.replay_view definitions.switch
operator  overrides.deny overrides.end_allow pages.action pages.change_beta pages.end_alert_override rollouts.hold
operator  rollouts.resume rollouts.roll_back rollouts.step_back
owner     pages.create_rollout pages.edit_plan pages.new_rollout pages.restore_plan pages.usage
owner     pages.change_definition pages.change_flag pages.definition pages.operation
owner     pages.compare_with_stripe pages.remove_flag pages.restore_flag pages.variances
viewer    definitions.create pages.create_flag pages.flag pages.flags
operator  pages.roll_back
owner     plans.create plans.edit plans.restore rollouts.archive_view rollouts.delete rollouts.revive
owner     billing.apply_view billing.dismiss_view billing.merge_view billing.prices_apply_view pages.close_finding
owner     alert_overrides.grant billing.link_view billing.reconcile_view credits_admin.adjust_view
owner     credits_admin.freeze_view credits_admin.reset_view credits_admin.revoke_view credits_admin.top_up_view
owner     credits_admin.unfreeze_view credits_admin.user_view credits_admin.variances_view credits_remediation.approve
owner     credits_remediation.index credits_remediation.operations credits_remediation.show
owner     credits_account_usage.account_view credits_account_usage.top_view
owner     credits_review.aa_test_view credits_review.analytics_view credits_review.preview_view
owner     definitions.delete definitions.import_view overrides.allow overrides.end_deny pages.approve_corrections
owner     pages.correct_credits pages.credits pages.override_alert pages.remediation rollouts.advance rollouts.rearm
owner     flag_edits.change flag_edits.change_in flag_edits.remove_from
owner     segments.delete_segment segments.put_segment
owner     pages.create_segment_in pages.new_segment_in
owner     pages.change_segment pages.create_segment pages.new_segment pages.remove_segment pages.segment_form
admin     pages.add_person pages.add_token pages.ask_lock pages.change_grants pages.change_role pages.end_sessions
admin     pages.lock_out pages.people pages.renew_password pages.revoke_token pages.unlock people.change people.create
admin     pages.reset_second_factor people.reset_second_factor
admin     people.index people.lock people.renew_password people.show people.sign_out tokens.create tokens.index
owner     pages.import_flags pages.import_form
owner     pages.members pages.merge pages.merge_users pages.put_member pages.remove_member
admin     pages.erase_person pages.erasures
admin     erasures.erase_view erasures.index_view tokens.revoke
"""
"""The least role for each route that people and admin tokens open."""

BY_WORD: Mapping[str, Mapping[str, str]] = {
    "pages.act": {
        **dict.fromkeys(("hold", "resume", "step-back", "rollback"), "operator"),
        **dict.fromkeys(("advance", "rearm"), "owner"),
    },
    **dict.fromkeys(
        ("pages.edit_catalogue", "pages.change_catalogue"), dict.fromkeys(("plans", "kinds", "prices"), "owner")
    ),
    "pages.switch_flag": {"on": "owner", "off": "operator"},
    "pages.override": {"allow": "owner", "deny": "operator"},
    "pages.end_override": {"allow": "operator", "deny": "owner"},
}
"""Routes whose least role depends on a word in their address."""

TOKEN_TABLE = """
service,admin                  alertmanager.post credits.commit_view credits.consume_view credits.release_view
service,admin                  credits.reserve_view experiments.index experiments.post signals.post
service,admin                  billing_customers.portal_view billing_customers.preview_view
client                         client_api.bulk_view client_api.feature_view client_api.features_view
client                         client_api.metrics_view client_api.register_view client_streaming.delta_view
client                         client_streaming.stream_view
client,admin                   client_api.edge_metrics_view
frontend,admin                 frontend_api.ask_view frontend_api.metrics_view frontend_api.register_view
frontend,admin                 frontend_api.toggles_view
client,frontend,service,admin  ofrep.all_view ofrep.one_view
"""
"""Routes for programs alone, with the types of token that open them."""

ELSEWHERE_TABLE = """
tests/credits_engine/test_user_tokens.py             credits.status_view credits_card.card_view credits_user.check_view
tests/credits_engine/test_user_tokens.py             credits_user.history_view credits_user.summary_view
tests/flags/api/test_users.py                        users.enter users.show
tests/flags/protocols                                ofrep.events_view
tests/credits_engine/billing                         stripe_webhook.receive
tests/credits_engine/billing/auto_top_ups/test_api.py  billing_auto_top_ups.show_view billing_auto_top_ups.put_view
tests/credits_engine/billing/auto_top_ups/test_api.py  billing_auto_top_ups.delete_view
tests/control_plane/platform/http/test_health.py     health.metrics
"""
"""Routes with a proof of another kind, and where that is tested."""

OPEN_TABLE = """
open  credits.config_view credits_card.static edge_api.validate_view frontend_api.preflight_view health.alive
open  health.ready ofrep.preflight_view openapi.show pages.asset pages.choose_theme pages.sign_in pages.sign_in_page
open  pages.go_to_provider pages.come_from_provider pages.leave_provider
open  pages.sign_out pages.code_page pages.confirm pages.passkey_question pages.sign_in_by_passkey
"""
"""Routes that anybody may call: they tell nothing that is anybody's, or only end one's own session."""


def _read(table: str) -> dict[str, str]:
    """Map each further name of a line to the first."""
    return {name: line.split()[0] for line in table.strip().splitlines() for name in line.split()[1:]}


ROLES: Mapping[str, str] = _read(TABLE)
TOKENS: Mapping[str, list[str]] = {name: kinds.split(",") for name, kinds in _read(TOKEN_TABLE).items()}
ELSEWHERE: Mapping[str, str] = _read(ELSEWHERE_TABLE)
OPEN = frozenset(_read(OPEN_TABLE))
