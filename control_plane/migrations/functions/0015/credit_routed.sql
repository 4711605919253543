-- The rules of flags/evaluation/rules.py in their order, once what they ask about is loaded. Written into the query like a macro.
CREATE FUNCTION credit_routed(state text, watched_until timestamptz, denied boolean, allowed boolean,
    everybody boolean, allowlist boolean, newcomers integer, newcomers_from timestamptz, everyone integer,
    of_user text, signed_up_at timestamptz, is_beta boolean, moment timestamptz, environment text, override boolean,
    bucket integer)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN state IS NULL THEN 'DEFAULT: no rollout is planned'
        WHEN NOT override THEN 'DISABLED: override_off'
        WHEN override AND environment <> 'production' THEN 'STATIC: override_on'
        WHEN state = 'rolled_back' THEN 'DISABLED: rolled_back'
        WHEN environment = 'production' AND (watched_until IS NULL OR watched_until <= moment)
            THEN 'DISABLED: guard_lease_expired'
        WHEN denied THEN 'TARGETING_MATCH: denied'
        WHEN allowed THEN 'TARGETING_MATCH: allowed'
        WHEN everybody THEN 'STATIC: environment_on'
        WHEN allowlist AND is_beta THEN 'TARGETING_MATCH: beta_member'
        WHEN newcomers >= 100 AND signed_up_at >= newcomers_from THEN 'TARGETING_MATCH: new_signup_all'
        WHEN newcomers > 0 AND signed_up_at >= newcomers_from
            AND coalesce(bucket, credit_bucket('ENABLE_CREDITS_V2:' || of_user)) <= newcomers
            THEN 'SPLIT: new_signup_inside'
        WHEN everyone >= 100 THEN 'STATIC: everyone_all'
        WHEN everyone > 0 AND coalesce(bucket, credit_bucket('ENABLE_CREDITS_V2:' || of_user)) <= everyone
            THEN 'SPLIT: everyone_inside'
        ELSE 'DEFAULT: default_off' END
$$
