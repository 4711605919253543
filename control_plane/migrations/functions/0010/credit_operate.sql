-- One operation, once: the locks of credits_engine/operations/consumption.py in their order, v2's row first.
-- `override` and `bucket` are what a process knows by itself: its environment variable, and the user's place in a
-- gradual rollout.
-- Every statement finds its rows by key, so no plan is worth making anew for the values of one call.
CREATE FUNCTION credit_operate(of_user text, of_key text, analysis bigint, roast bigint, by_actor text,
    moment timestamptz, in_environment text DEFAULT 'production', override boolean DEFAULT NULL,
    bucket integer DEFAULT NULL, allowed_on_error boolean DEFAULT false, note json DEFAULT NULL,
    OUT replayed boolean, OUT entry credit_journal)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    account record;
    counter usage_counters;
    granted credit_plan;
    pools record;
    bought_analysis bigint := 0;
    bought_roast bigint := 0;
    flag record;
    v2 record;
    legacy record;
    served record;
    shadow record;
    asked_for text := format('consume %s %s', analysis, roast);
    this_month timestamptz := date_trunc('month', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    next_month timestamptz := (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    earlier bigint;
    allowed boolean;
    taken_analysis bigint := 0;
    taken_roast bigint := 0;
    drawn_analysis bigint := 0;
    drawn_roast bigint := 0;
    difference text := 'match';
    why text := '';
    begun timestamptz;
    halfway timestamptz;
    finished timestamptz;
BEGIN
    replayed := false;
    SELECT * INTO counter FROM usage_counters c
        WHERE c.user_id = of_user AND c.period_start <= moment AND c.period_end > moment FOR UPDATE;
    LOOP
        SELECT u.plan, u.signed_up_at, u.beta, u.billing_anchor AS anchor, coalesce(f.reason, b.blocked) AS frozen,
                b.due_at, p AS granted, k.fingerprint, k.journal_id,
                EXISTS (SELECT FROM credit_pack c WHERE c.user_id = u.user_id AND c.remaining > 0) AS has_packs,
                EXISTS (SELECT FROM credit_retirement) AS legacy_retired,
                j.outcome IS DISTINCT FROM 'error' OR (j.context ->> 'uncharged') = 'true' AS final
            INTO account
            FROM directory_user u
            LEFT JOIN credit_plan p ON p.called = u.plan
            LEFT JOIN credit_freeze f ON f.user_id IN (u.user_id, '*')
            LEFT JOIN billing_account b ON b.user_id = u.user_id
            LEFT JOIN operation_key k ON k.user_id = u.user_id AND k.key = of_key
            LEFT JOIN credit_journal j ON j.id = k.journal_id
            WHERE u.user_id = of_user LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'User ''%'' is not in the directory; add the user first.', of_user USING ERRCODE = 'CRUSR';
        ELSIF account.fingerprint <> asked_for THEN
            RAISE EXCEPTION 'Key ''%'' was used before for another request; use a new key or repeat it unchanged.',
                of_key USING ERRCODE = 'CRKEY';
        ELSIF account.fingerprint IS NOT NULL AND account.final THEN
            replayed := true;
            SELECT * INTO entry FROM credit_journal j WHERE j.id = account.journal_id;
            RETURN;
        END IF;
        PERFORM credit_refuse_unready(of_user, account.plan, account.granted, account.due_at, moment);
        granted := account.granted;
        EXIT WHEN counter.user_id IS NOT NULL;
        -- Whoever opened the period at the same moment has committed once this returns: look again.
        counter := credit_opened(of_user, account.anchor, granted, moment);
    END LOOP;
    earlier := account.journal_id;
    IF counter.plan <> granted.name THEN
        counter := credit_followed(counter, granted, moment);
    END IF;
    pools := credit_month(of_user, this_month);
    IF account.has_packs THEN
        SELECT coalesce(sum(p.remaining) FILTER (WHERE p.kind = 'analysis'), 0)::bigint,
                coalesce(sum(p.remaining) FILTER (WHERE p.kind = 'roast'), 0)::bigint
            INTO bought_analysis, bought_roast
            FROM (SELECT c.kind, c.remaining FROM credit_pack c
                WHERE c.user_id = of_user AND c.remaining > 0 AND c.expires_at > moment
                ORDER BY c.expires_at, c.id FOR UPDATE) p;
    END IF;
    flag := credit_flag(of_user, account.signed_up_at, account.beta, moment, in_environment, override, bucket);
    begun := clock_timestamp();
    BEGIN
        v2 := credit_judge_v2(account.frozen, counter, bought_analysis, bought_roast, analysis, roast);
    EXCEPTION WHEN OTHERS THEN
        v2 := credit_failed(SQLSTATE, SQLERRM);
    END;
    halfway := clock_timestamp();
    IF account.legacy_retired AND flag.enabled THEN
        SELECT NULL::text AS outcome, 'Legacy is retired and was not asked.' AS reason INTO legacy;
        finished := halfway;
    ELSE
        BEGIN
            legacy := credit_judge_legacy(account.frozen, granted, pools.analysis, pools.roast, next_month,
                bought_analysis, bought_roast, analysis, roast);
        EXCEPTION WHEN OTHERS THEN
            legacy := credit_failed(SQLSTATE, SQLERRM);
        END;
        finished := clock_timestamp();
    END IF;
    IF flag.enabled THEN
        served := v2; shadow := legacy;
    ELSE
        served := legacy; shadow := v2;
    END IF;
    allowed := served.outcome = 'allowed';
    IF served.outcome = 'error' THEN
        difference := 'served_error'; why := served.reason;
        IF allowed_on_error THEN
            note := (coalesce(note::jsonb, '{}') || '{"uncharged": true}')::json;
        END IF;
    ELSIF shadow.outcome IS NULL THEN
        difference := NULL;
    ELSIF shadow.outcome = 'error' THEN
        difference := 'shadow_error'; why := shadow.reason;
    ELSIF v2.outcome <> legacy.outcome THEN
        difference := 'policy';
        why := credit_cause(allowed, flag.enabled, ARRAY[counter.analysis_limit, counter.roast_limit],
            ARRAY[granted.legacy_analysis, granted.legacy_roast], ARRAY[counter.analysis_used, counter.roast_used],
            ARRAY[pools.analysis, pools.roast], ARRAY[bought_analysis, bought_roast],
            counter.period_start = this_month AND counter.period_end = next_month, ARRAY[analysis, roast]);
    END IF;
    IF allowed THEN
        taken_analysis := analysis;
        taken_roast := roast;
        IF account.has_packs AND flag.enabled THEN
            drawn_analysis := credit_beyond(counter.analysis_limit, counter.analysis_used, bought_analysis, analysis);
            drawn_roast := credit_beyond(counter.roast_limit, counter.roast_used, bought_roast, roast);
        ELSIF account.has_packs THEN
            drawn_analysis := credit_beyond(granted.legacy_analysis, pools.analysis, bought_analysis, analysis);
            drawn_roast := credit_beyond(granted.legacy_roast, pools.roast, bought_roast, roast);
        END IF;
        UPDATE usage_counters c
            SET analysis_used = c.analysis_used + taken_analysis - drawn_analysis,
                roast_used = c.roast_used + taken_roast - drawn_roast
            WHERE c.user_id = of_user AND c.period_start = counter.period_start;
        UPDATE legacy_book b
            SET analysis_used = b.analysis_used + taken_analysis - drawn_analysis,
                roast_used = b.roast_used + taken_roast - drawn_roast
            WHERE b.user_id = of_user AND b.month_start = this_month;
    END IF;
    IF bought_analysis > 0 OR bought_roast > 0 THEN
        note := (coalesce(note::jsonb, '{}') || jsonb_build_object('bought',
            jsonb_build_array(bought_analysis - drawn_analysis, bought_roast - drawn_roast)))::json;
    END IF;
    INSERT INTO credit_journal (occurred_at, user_id, type, operation_key, requested_analysis, requested_roast,
            charged_analysis, charged_roast, served_engine, outcome, reason, shadow_reason,
            flag_revision, evaluation_reason, variance, cause, retry_of, actor, context,
            v2_period_start, v2_period_end, v2_posted_analysis, v2_posted_roast, v2_outcome,
            v2_charged_analysis, v2_charged_roast,
            v2_used_analysis, v2_used_roast, v2_limit_analysis, v2_limit_roast, v2_us,
            legacy_period_start, legacy_period_end, legacy_posted_analysis, legacy_posted_roast, legacy_outcome,
            legacy_charged_analysis, legacy_charged_roast,
            legacy_used_analysis, legacy_used_roast, legacy_limit_analysis, legacy_limit_roast, legacy_us)
        VALUES (moment, of_user, 'consume', of_key, analysis, roast,
            taken_analysis, taken_roast,
            CASE WHEN flag.enabled THEN 'v2' ELSE 'legacy' END, served.outcome, served.reason, shadow.reason,
            flag.revision, flag.reason, difference, why, earlier, by_actor, note,
            counter.period_start, counter.period_end, taken_analysis - drawn_analysis, taken_roast - drawn_roast,
            v2.outcome,
            CASE v2.outcome WHEN 'allowed' THEN analysis ELSE 0 END,
            CASE v2.outcome WHEN 'allowed' THEN roast ELSE 0 END,
            counter.analysis_used, counter.roast_used, counter.analysis_limit, counter.roast_limit,
            extract(epoch FROM halfway - begun) * 1000000,
            this_month, next_month, taken_analysis - drawn_analysis, taken_roast - drawn_roast, legacy.outcome,
            CASE legacy.outcome WHEN 'allowed' THEN analysis ELSE 0 END,
            CASE legacy.outcome WHEN 'allowed' THEN roast ELSE 0 END,
            pools.analysis, pools.roast, granted.legacy_analysis, granted.legacy_roast,
            extract(epoch FROM finished - halfway) * 1000000)
        RETURNING * INTO entry;
    IF drawn_analysis > 0 OR drawn_roast > 0 THEN
        PERFORM credit_draw(entry.id, of_user, 'analysis', drawn_analysis, moment);
        PERFORM credit_draw(entry.id, of_user, 'roast', drawn_roast, moment);
    END IF;
    IF earlier IS NOT NULL THEN
        UPDATE operation_key k SET journal_id = entry.id WHERE k.user_id = of_user AND k.key = of_key;
        RETURN;
    END IF;
    INSERT INTO operation_key (user_id, key, fingerprint, journal_id, created_at)
        VALUES (of_user, of_key, asked_for, entry.id, moment) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Key ''%'' is being answered by another request; try again.', of_key USING ERRCODE = 'CRRCE';
    END IF;
END $$
