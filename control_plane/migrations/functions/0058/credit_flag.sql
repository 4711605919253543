-- The flag as the rollout's own row has it, whatever is kept of it beside that.
CREATE OR REPLACE FUNCTION credit_flag(of_user text, signed_up_at timestamptz, is_beta boolean, moment timestamptz,
    environment text, override boolean, bucket integer, OUT enabled boolean, OUT reason text, OUT revision bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    stored record;
    denied boolean;
    allowed boolean;
    everybody boolean;
    allowlist boolean;
    newcomers integer;
    everyone integer;
BEGIN
    SELECT credit_state_in(r.state, r.latches_all, environment) AS state, r.phase, r.step, r.plan::jsonb AS plan, coalesce((SELECT max(c.id) FROM change c), 0) AS newest,
            (SELECT l.expires_at FROM lease l WHERE l.name = 'guard') AS watched_until
        INTO stored FROM rollout r WHERE r.flag IN ('ENABLE_CREDITS_V2', 'ENABLE_CREDITS_V2@' || environment)
        ORDER BY length(r.flag) DESC LIMIT 1; -- an environment's own before that of all
    revision := CASE WHEN FOUND THEN stored.newest ELSE 0 END;
    -- What is switched off or rolled back asks nothing of its plan, so no mistake in a plan can keep it on.
    IF stored.state <> 'rolled_back' AND override IS NOT FALSE THEN
        SELECT bool_or(o.effect = 'deny'), bool_or(o.effect = 'allow') INTO denied, allowed FROM flag_override o
            WHERE o.flag = 'ENABLE_CREDITS_V2' AND o.user_id = of_user
                AND (o.expires_at IS NULL OR o.expires_at > moment);
        SELECT * INTO everybody, allowlist, newcomers, everyone
            FROM credit_exposure(stored.plan, stored.phase, stored.step, environment);
    END IF;
    reason := credit_routed(stored.state, stored.watched_until, denied, allowed, everybody, allowlist, newcomers,
        credit_newcomers_from(stored.plan), everyone, of_user, signed_up_at, is_beta, moment, environment, override,
        bucket);
    enabled := credit_enables(reason);
END $$
