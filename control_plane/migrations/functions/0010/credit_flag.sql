-- The rules of flags/evaluation/rules.py in their order. What a process's own environment says is given by whoever calls.
CREATE FUNCTION credit_flag(of_user text, signed_up_at timestamptz, is_beta boolean, moment timestamptz,
    environment text, override boolean, bucket integer, OUT enabled boolean, OUT reason text, OUT revision bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    stored record;
    exposed record;
    denied boolean;
    allowed boolean;
BEGIN
    enabled := false;
    SELECT r.state, r.phase, r.step, r.plan::jsonb AS plan, coalesce((SELECT max(c.id) FROM change c), 0) AS newest,
            (SELECT l.expires_at FROM lease l WHERE l.name = 'guard') AS watched_until
        INTO stored FROM rollout r WHERE r.flag = 'ENABLE_CREDITS_V2';
    IF NOT FOUND THEN
        reason := 'DEFAULT: no rollout is planned'; revision := 0; RETURN;
    END IF;
    revision := stored.newest;
    IF NOT override THEN
        reason := 'DISABLED: override_off'; RETURN;
    ELSIF override AND environment <> 'production' THEN
        enabled := true; reason := 'STATIC: override_on'; RETURN;
    ELSIF stored.state = 'rolled_back' THEN
        reason := 'DISABLED: rolled_back'; RETURN;
    ELSIF environment = 'production' AND (stored.watched_until IS NULL OR stored.watched_until <= moment) THEN
        reason := 'DISABLED: guard_lease_expired'; RETURN;
    END IF;
    SELECT bool_or(o.effect = 'deny'), bool_or(o.effect = 'allow') INTO denied, allowed FROM flag_override o
        WHERE o.flag = 'ENABLE_CREDITS_V2' AND o.user_id = of_user AND (o.expires_at IS NULL OR o.expires_at > moment);
    IF denied THEN
        reason := 'TARGETING_MATCH: denied'; RETURN;
    ELSIF allowed THEN
        enabled := true; reason := 'TARGETING_MATCH: allowed'; RETURN;
    END IF;
    exposed := credit_exposure(stored.plan, stored.phase, stored.step, environment);
    IF exposed.everybody THEN
        enabled := true; reason := 'STATIC: environment_on'; RETURN;
    ELSIF exposed.allowlist AND is_beta THEN
        enabled := true; reason := 'TARGETING_MATCH: beta_member'; RETURN;
    END IF;
    IF exposed.newcomers BETWEEN 1 AND 99 OR exposed.everyone BETWEEN 1 AND 99 THEN
        bucket := coalesce(bucket, credit_bucket('ENABLE_CREDITS_V2:' || of_user));
    END IF;
    IF exposed.newcomers > 0 AND signed_up_at >= date_trunc('milliseconds',
            (stored.plan ->> 'new_signups_after')::timestamptz) + interval '1 millisecond' THEN
        IF exposed.newcomers >= 100 THEN
            enabled := true; reason := 'TARGETING_MATCH: new_signup_all'; RETURN;
        ELSIF bucket <= exposed.newcomers THEN
            enabled := true; reason := 'SPLIT: new_signup_inside'; RETURN;
        END IF;
    END IF;
    IF exposed.everyone >= 100 THEN
        enabled := true; reason := 'STATIC: everyone_all';
    ELSIF exposed.everyone > 0 AND bucket <= exposed.everyone THEN
        enabled := true; reason := 'SPLIT: everyone_inside';
    ELSE
        reason := 'DEFAULT: default_off';
    END IF;
END $$
