-- One operation, once: the locks of credits_engine/operations/consumption.py in their order, v2's row first.
-- `override` and `bucket` are what a process knows by itself: its environment variable, and the user's place in a
-- gradual rollout.
-- Every statement finds its rows by key, so no plan is worth making anew for the values of one call; and each names the
-- account as the parameter, by which alone several databases see that it is of one of them.
CREATE FUNCTION credit_operate(of_user text, of_key text, asked bigint[], by_actor text,
    moment timestamptz, in_environment text DEFAULT 'production', override boolean DEFAULT NULL,
    bucket integer DEFAULT NULL, allowed_on_error boolean DEFAULT false, note json DEFAULT NULL,
    OUT replayed boolean, OUT entry credit_journal)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    account record;
    counter usage_counters;
    granted credit_plan;
    kinds text[];
    limits bigint[];
    pools bigint[];
    bought bigint[] := '{}';
    flag record;
    v2 record;
    legacy record;
    served record;
    shadow record;
    asked_for text := 'consume ' || array_to_string(asked, ' ');
    this_month timestamptz := date_trunc('month', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    next_month timestamptz := (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    earlier bigint;
    allowed boolean;
    nothing bigint[] := '{0,0}';
    taken bigint[] := nothing;
    drawn bigint[] := nothing;
    posted bigint[] := nothing;
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
                b.due_at, p.called, p.name, p.rank, p.kinds, p.v2, p.legacy, k.fingerprint, k.journal_id,
                EXISTS (SELECT FROM credit_pack c WHERE c.user_id = of_user AND c.remaining > 0) AS has_packs,
                EXISTS (SELECT FROM credit_retirement) AS legacy_retired,
                j.outcome IS DISTINCT FROM 'error' OR (j.context ->> 'uncharged') = 'true' AS final
            INTO account
            FROM directory_user u
            LEFT JOIN credit_plan p ON p.called = u.plan
            LEFT JOIN credit_freeze f ON f.user_id IN (of_user, '*')
            LEFT JOIN billing_account b ON b.user_id = of_user
            LEFT JOIN operation_key k ON k.user_id = of_user AND k.key = of_key
            LEFT JOIN credit_journal j ON j.user_id = of_user AND j.id = k.journal_id
            WHERE u.user_id = of_user LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'User ''%'' is not in the directory; add the user first.', of_user USING ERRCODE = 'CRUSR';
        ELSIF account.fingerprint <> asked_for THEN
            RAISE EXCEPTION 'Key ''%'' was used before for another request; use a new key or repeat it unchanged.',
                of_key USING ERRCODE = 'CRKEY';
        ELSIF account.fingerprint IS NOT NULL AND account.final THEN
            replayed := true;
            SELECT * INTO entry FROM credit_journal j WHERE j.user_id = of_user AND j.id = account.journal_id;
            RETURN;
        END IF;
        -- Made here: a row as a whole has other columns on another database, where none was ever dropped.
        granted := ROW(account.called, account.name, account.rank, account.kinds, account.v2, account.legacy);
        PERFORM credit_refuse_unready(of_user, account.plan, granted, account.due_at, moment);
        EXIT WHEN counter.user_id IS NOT NULL;
        -- Whoever opened the period at the same moment has committed once this returns: look again.
        counter := credit_opened(of_user, account.anchor, granted, moment);
    END LOOP;
    IF EXISTS (SELECT FROM credit_pack c WHERE c.user_id = of_user AND c.rolled_from = counter.period_start) THEN
        RAISE EXCEPTION 'What the period of ''%'' left unused has rolled over: ask over HTTP.', of_user
            USING ERRCODE = 'CRROL';
    END IF;
    earlier := account.journal_id;
    IF counter.plan <> granted.name THEN
        counter := credit_followed(counter, granted, moment);
    END IF;
    kinds := granted.kinds;
    limits := credit_limits(counter.limits, counter.plan);
    pools := credit_month(of_user, this_month);
    IF account.has_packs THEN
        WITH p AS MATERIALIZED (SELECT c.kind, c.remaining FROM credit_pack c
                WHERE c.user_id = of_user AND c.remaining > 0 AND c.expires_at > moment
                ORDER BY c.expires_at, c.id FOR UPDATE)
            SELECT array_agg(coalesce((SELECT sum(p.remaining) FROM p WHERE p.kind = k.name), 0)::bigint
                    ORDER BY k.position)
                INTO bought FROM credit_kind k;
    END IF;
    flag := credit_flag(of_user, account.signed_up_at, account.beta, moment, in_environment, override, bucket);
    begun := clock_timestamp();
    BEGIN
        v2 := credit_judge_v2(account.frozen, kinds, limits, counter.used, counter.period_end, bought, asked);
    EXCEPTION WHEN OTHERS THEN
        v2 := credit_failed(SQLSTATE, SQLERRM);
    END;
    halfway := clock_timestamp();
    IF account.legacy_retired AND flag.enabled THEN
        SELECT NULL::text AS outcome, 'Legacy is retired and was not asked.' AS reason INTO legacy;
        finished := halfway;
    ELSE
        BEGIN
            legacy := credit_judge_legacy(account.frozen, kinds, granted.legacy, pools, next_month, bought, asked);
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
        why := credit_cause(allowed, flag.enabled, limits, granted.legacy, counter.used, pools, bought,
            counter.period_start = this_month AND counter.period_end = next_month, asked);
    END IF;
    IF allowed THEN
        taken := asked;
        IF account.has_packs THEN
            FOR i IN 1..cardinality(asked) LOOP
                drawn[i] := CASE WHEN flag.enabled
                    THEN credit_beyond(limits[i], coalesce(counter.used[i], 0), bought[i], asked[i])
                    ELSE credit_beyond(granted.legacy[i], coalesce(pools[i], 0), bought[i], asked[i]) END;
            END LOOP;
        END IF;
        posted := credit_sum(taken, credit_negative(drawn));
        UPDATE usage_counters c SET used = credit_sum(c.used, posted)
            WHERE c.user_id = of_user AND c.period_start = counter.period_start;
        UPDATE legacy_book b SET used = credit_sum(b.used, posted)
            WHERE b.user_id = of_user AND b.month_start = this_month;
    END IF;
    IF 0 < ANY (bought) THEN
        note := (coalesce(note::jsonb, '{}') || jsonb_build_object('bought',
            to_jsonb(credit_sum(bought, credit_negative(drawn)))))::json;
    END IF;
    INSERT INTO credit_journal (occurred_at, user_id, type, operation_key, requested, charged, served_engine, outcome,
            reason, shadow_reason, flag_revision, evaluation_reason, variance, cause, retry_of, actor, context,
            v2_period_start, v2_period_end, v2_posted, v2_outcome, v2_charged, v2_used, v2_limit, v2_us,
            legacy_period_start, legacy_period_end, legacy_posted, legacy_outcome, legacy_charged, legacy_used,
            legacy_limit, legacy_us)
        VALUES (moment, of_user, 'consume', of_key, asked, taken,
            CASE WHEN flag.enabled THEN 'v2' ELSE 'legacy' END, served.outcome, served.reason, shadow.reason,
            flag.revision, flag.reason, difference, why, earlier, by_actor, note,
            counter.period_start, counter.period_end, posted, v2.outcome,
            CASE WHEN v2.outcome = 'allowed' THEN asked ELSE nothing END, counter.used, limits,
            extract(epoch FROM halfway - begun) * 1000000,
            this_month, next_month, posted, legacy.outcome,
            CASE WHEN legacy.outcome = 'allowed' THEN asked ELSE nothing END, pools, granted.legacy,
            extract(epoch FROM finished - halfway) * 1000000)
        RETURNING * INTO entry;
    FOR i IN 1..cardinality(drawn) LOOP
        IF drawn[i] > 0 THEN
            PERFORM credit_draw(entry.id, of_user, kinds[i], drawn[i], moment);
        END IF;
    END LOOP;
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
