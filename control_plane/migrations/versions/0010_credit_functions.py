"""The credits as functions of PostgreSQL, `consume_credits` among them, and running sums of the journal.

They do what `credits_engine.operations.consumption` does, in its order and under its locks, and leave the same rows
behind: `tests/credits_engine/test_functions.py` holds the two together on random sequences. SQLite has nothing like
them. `credit_plan` is the catalogue as the functions read it; a test compares it with `credits_engine.engines.plans`.
The tables of packs come with the next version: what PL/pgSQL names is looked up when it runs.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.database import UtcDateTime

revision = "0010"
down_revision = "0009"

PLANS = (
    ("free", "free", 0, 100, 10, 100, 50),
    ("starter_trial", "free", 0, 100, 10, 100, 50),
    ("starter", "starter", 1, 1_000, 10, 1_000, 100),
    ("pro", "pro", 2, 10_000, 1_000, 10_000, 1_000),
    ("plus", "plus", 3, 100_000, 5_000, 100_000, 5_000),
    ("creator_plus", "plus", 3, 100_000, 5_000, 100_000, 5_000),
    ("custom", "custom", 4, None, None, None, None),
)
LIMITS = ("v2_analysis", "v2_roast", "legacy_analysis", "legacy_roast")

AMOUNTS = """
CREATE FUNCTION credit_amounts(analysis bigint, roast bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
        nullif(concat_ws(' and ', nullif(analysis, 0) || ' analysis', nullif(roast, 0) || ' roast'), ''), '0')
$$
"""

INSTANT = """
CREATE FUNCTION credit_instant(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$
"""

# Month n is counted from the anchor, never from the month before; PostgreSQL clips the day to the month's length.
PERIOD = """
CREATE FUNCTION credit_period(anchor timestamptz, moment timestamptz, OUT starts timestamptz, OUT ends timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    base timestamp := coalesce(anchor AT TIME ZONE 'UTC', date_trunc('month', moment AT TIME ZONE 'UTC'));
    here timestamp := moment AT TIME ZONE 'UTC';
    n integer := (extract(year FROM here) - extract(year FROM base)) * 12
        + extract(month FROM here) - extract(month FROM base);
BEGIN
    IF base + make_interval(months => n) > here THEN
        n := n - 1;
    END IF;
    starts := (base + make_interval(months => n)) AT TIME ZONE 'UTC';
    ends := (base + make_interval(months => n + 1)) AT TIME ZONE 'UTC';
END $$
"""

# MurmurHash3 (x86, 32 bit, seed 0) modulo 100 plus 1. A product of two words does not fit bigint: one is cut in half.
BUCKET = """
CREATE FUNCTION credit_bucket(of_key text) RETURNS integer LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    bytes bytea := convert_to(of_key, 'UTF8');
    size integer := length(bytes);
    h bigint := 0;
    k bigint;
    place integer := 0;
    taken integer;
BEGIN
    WHILE place < size LOOP
        k := 0;
        taken := least(size - place, 4);
        FOR i IN REVERSE taken - 1..0 LOOP
            k := (k << 8) | get_byte(bytes, place + i);
        END LOOP;
        k := (k * 11601 + (((k * 52382) & 65535) << 16)) & 4294967295;
        k := ((k << 15) | (k >> 17)) & 4294967295;
        k := (k * 13715 + (((k * 7047) & 65535) << 16)) & 4294967295;
        h := h # k;
        IF taken = 4 THEN
            h := ((h << 13) | (h >> 19)) & 4294967295;
            h := (h * 5 + 3864292196) & 4294967295;
        END IF;
        place := place + 4;
    END LOOP;
    h := h # size;
    h := h # (h >> 16);
    h := (h * 51819 + (((h * 34283) & 65535) << 16)) & 4294967295;
    h := h # (h >> 13);
    h := (h * 44597 + (((h * 49842) & 65535) << 16)) & 4294967295;
    h := h # (h >> 16);
    RETURN h % 100 + 1;
END $$
"""

EXPOSURE = """
CREATE FUNCTION credit_exposure(plan jsonb, phase integer, step integer, environment text,
    OUT everybody boolean, OUT allowlist boolean, OUT newcomers integer, OUT everyone integer)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    here jsonb;
    percentage integer;
BEGIN
    everybody := false; allowlist := false; newcomers := 0; everyone := 0;
    FOR i IN 0..phase LOOP
        here := plan -> 'phases' -> i;
        percentage := (here -> 'steps' ->> CASE WHEN i = phase THEN step ELSE -1 END)::integer;
        CASE here ->> 'audience'
            WHEN 'environments' THEN everybody := here -> 'environments' ? environment;
            WHEN 'allowlist' THEN allowlist := environment = 'production';
            WHEN 'new_signups' THEN newcomers := CASE WHEN environment = 'production' THEN percentage ELSE 0 END;
            WHEN 'everyone' THEN everyone := CASE WHEN environment = 'production' THEN percentage ELSE 0 END;
        END CASE;
    END LOOP;
END $$
"""

# The rules of flags/rules.py in their order. What a process's own environment says is given by whoever calls.
FLAG = """
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
"""

COUNTER = """
CREATE FUNCTION credit_counter(of_user text, moment timestamptz) RETURNS SETOF usage_counters LANGUAGE sql AS $$
    SELECT * FROM usage_counters WHERE user_id = of_user AND period_start <= moment AND period_end > moment FOR UPDATE
$$
"""

# Of two first requests one creates the row and both get it.
OPENED = """
CREATE FUNCTION credit_opened(of_user text, anchor timestamptz, granted credit_plan, moment timestamptz)
RETURNS usage_counters LANGUAGE plpgsql AS $$
DECLARE
    counter usage_counters;
    starts timestamptz;
    ends timestamptz;
    last_end timestamptz;
    next_start timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_user, 297));
    SELECT * INTO counter FROM credit_counter(of_user, moment);
    IF NOT FOUND THEN
        SELECT p.starts, p.ends INTO starts, ends FROM credit_period(anchor, moment) p;
        SELECT c.period_end INTO last_end FROM usage_counters c
            WHERE c.user_id = of_user AND c.period_start <= moment ORDER BY c.period_start DESC LIMIT 1;
        SELECT min(c.period_start) INTO next_start FROM usage_counters c
            WHERE c.user_id = of_user AND c.period_start > moment;
        INSERT INTO usage_counters (user_id, period_start, period_end, plan, analysis_used, analysis_limit, roast_used,
                roast_limit)
            VALUES (of_user, greatest(starts, last_end), least(ends, next_start), (granted).name, 0,
                (granted).v2_analysis, 0, (granted).v2_roast)
            RETURNING * INTO counter;
    END IF;
    RETURN counter;
END $$
"""

# An upgrade counts at once and keeps what was used; a downgrade waits for the next period.
FOLLOWED = """
CREATE FUNCTION credit_followed(counter usage_counters, granted credit_plan, moment timestamptz)
RETURNS usage_counters LANGUAGE plpgsql AS $$
DECLARE
    old_rank integer;
    old_plan text := counter.plan;
BEGIN
    SELECT p.rank INTO old_rank FROM credit_plan p WHERE p.called = counter.plan;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Plan ''%'' is not in the catalogue.', counter.plan USING ERRCODE = 'CRPLN';
    ELSIF granted.rank > old_rank THEN
        UPDATE usage_counters c
            SET plan = granted.name, analysis_limit = granted.v2_analysis, roast_limit = granted.v2_roast
            WHERE c.user_id = counter.user_id AND c.period_start = counter.period_start
            RETURNING c.* INTO counter;
        INSERT INTO credit_journal (occurred_at, user_id, type, reason, actor, requested_analysis, requested_roast,
                charged_analysis, charged_roast, v2_posted_analysis, v2_posted_roast, legacy_posted_analysis,
                legacy_posted_roast, v2_period_start, v2_period_end, v2_used_analysis, v2_used_roast,
                v2_limit_analysis, v2_limit_roast)
            VALUES (moment, counter.user_id, 'limit_change',
                format('Upgraded from %s to %s: new limits at once, usage kept.', old_plan, granted.name),
                'credits', 0, 0, 0, 0, 0, 0, 0, 0, counter.period_start, counter.period_end, counter.analysis_used,
                counter.roast_used, granted.v2_analysis, granted.v2_roast);
    END IF;
    RETURN counter;
END $$
"""

MONTH = """
CREATE FUNCTION credit_month(of_user text, month timestamptz, OUT analysis bigint, OUT roast bigint)
LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        SELECT b.analysis_used, b.roast_used INTO analysis, roast FROM legacy_book b
            WHERE b.user_id = of_user AND b.month_start = month FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO legacy_book (user_id, month_start, analysis_used, roast_used) VALUES (of_user, month, 0, 0)
            ON CONFLICT DO NOTHING RETURNING analysis_used, roast_used INTO analysis, roast;
        EXIT WHEN FOUND;
    END LOOP;
END $$
"""

# v2: both kinds are looked at, and what is missing is said of each.
JUDGE_V2 = """
CREATE FUNCTION credit_judge_v2(blocked text, counter usage_counters, bought_analysis bigint, bought_roast bigint,
    analysis bigint, roast bigint, OUT outcome text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    analysis_left bigint := counter.analysis_limit - least(counter.analysis_used, counter.analysis_limit)
        + bought_analysis;
    roast_left bigint := counter.roast_limit - least(counter.roast_used, counter.roast_limit) + bought_roast;
BEGIN
    IF blocked IS NOT NULL THEN
        outcome := 'denied_state'; reason := left(blocked, 300);
    ELSIF analysis > analysis_left OR roast > roast_left THEN
        outcome := 'denied_limit';
        reason := concat_ws('; ',
            CASE WHEN analysis > analysis_left
                THEN format('%s analysis asked for, %s left', analysis, analysis_left) END,
            CASE WHEN roast > roast_left THEN format('%s roast asked for, %s left', roast, roast_left) END)
            || format(' until the billing period ends at %s.', credit_instant(counter.period_end));
    ELSE
        outcome := 'allowed'; reason := format('The billing period grants %s.', credit_amounts(analysis, roast));
    END IF;
END $$
"""

# Legacy: one pool after the other; the first one that is short refuses.
JUDGE_LEGACY = """
CREATE FUNCTION credit_judge_legacy(blocked text, granted credit_plan, analysis_used bigint, roast_used bigint,
    ends timestamptz, bought_analysis bigint, bought_roast bigint, analysis bigint, roast bigint,
    OUT outcome text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF blocked IS NOT NULL THEN
        outcome := 'denied_state'; reason := left(blocked, 300);
    ELSIF analysis > bought_analysis AND analysis_used + analysis > granted.legacy_analysis + bought_analysis THEN
        outcome := 'denied_limit';
        reason := credit_pool_short('analysis', analysis, analysis_used, granted.legacy_analysis, bought_analysis,
            ends);
    ELSIF roast > bought_roast AND roast_used + roast > granted.legacy_roast + bought_roast THEN
        outcome := 'denied_limit';
        reason := credit_pool_short('roast', roast, roast_used, granted.legacy_roast, bought_roast, ends);
    ELSE
        outcome := 'allowed'; reason := format('This month''s pools hold %s.', credit_amounts(analysis, roast));
    END IF;
END $$
"""

POOL_SHORT = """
CREATE FUNCTION credit_pool_short(kind text, asked bigint, used bigint, granted bigint, bought bigint, ends timestamptz)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%s %s asked for, %s of %s used this calendar month%s; the pool refills at %s.', asked, kind, used,
        granted, CASE WHEN bought > 0 THEN format(' and %s bought besides', bought) END, credit_instant(ends))
$$
"""

# The part of a charge that the plan does not cover and packs do.
BEYOND = """
CREATE FUNCTION credit_beyond(granted bigint, used bigint, bought bigint, charged bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN granted IS NULL THEN 0
        ELSE least(greatest(charged - greatest(granted - used, 0), 0), bought) END;
END $$
"""

# Take that part from the packs of one kind, the one that expires soonest first; the caller has locked them.
DRAW = """
CREATE FUNCTION credit_draw(of_entry bigint, of_user text, of_kind text, missing bigint, moment timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pack record;
    part bigint;
BEGIN
    FOR pack IN SELECT p.id, p.remaining FROM credit_pack p
        WHERE p.user_id = of_user AND p.kind = of_kind AND p.remaining > 0 AND p.expires_at > moment
        ORDER BY p.expires_at, p.id
    LOOP
        EXIT WHEN missing <= 0;
        part := least(missing, pack.remaining);
        UPDATE credit_pack p SET remaining = p.remaining - part WHERE p.id = pack.id;
        INSERT INTO credit_pack_entry (journal_id, pack_id, amount) VALUES (of_entry, pack.id, -part);
        missing := missing - part;
    END LOOP;
END $$
"""

# Which declared differences, neutralised in the shadow's book, turn its verdict into the served one.
CAUSE = """
CREATE FUNCTION credit_cause(expected boolean, v2_serves boolean, v2_limits bigint[], legacy_limits bigint[],
    v2_used bigint[], legacy_used bigint[], bought bigint[], same_period boolean, asked bigint[])
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    served_limits bigint[] := CASE WHEN v2_serves THEN v2_limits ELSE legacy_limits END;
    shadow_limits bigint[] := CASE WHEN v2_serves THEN legacy_limits ELSE v2_limits END;
    served_used bigint[] := CASE WHEN v2_serves THEN v2_used ELSE legacy_used END;
    shadow_used bigint[] := CASE WHEN v2_serves THEN legacy_used ELSE v2_used END;
    sufficient text := concat_ws('|',
        CASE WHEN served_limits IS DISTINCT FROM shadow_limits
            AND credit_fits(served_limits, shadow_used, bought, asked) = expected THEN 'limit_table' END,
        CASE WHEN (NOT same_period OR served_used IS DISTINCT FROM shadow_used)
            AND credit_fits(shadow_limits, served_used, bought, asked) = expected THEN 'window' END);
BEGIN
    RETURN 'policy:' || CASE sufficient WHEN '' THEN 'limit_table+window' ELSE sufficient END;
END $$
"""

FITS = """
CREATE FUNCTION credit_fits(limits bigint[], used bigint[], bought bigint[], asked bigint[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(asked[1] <= greatest(limits[1] - used[1], 0 * limits[1]) + bought[1], true)
        AND coalesce(asked[2] <= greatest(limits[2] - used[2], 0 * limits[2]) + bought[2], true)
$$
"""

# One operation, once: the locks of credits_engine/operations/consumption.py in their order, v2's row first.
# `override` and `bucket` are what a process knows by itself: its environment variable, and the user's place in a
# gradual rollout.
# Every statement finds its rows by key, so no plan is worth making anew for the values of one call.
OPERATE = """
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
"""

# An engine that fails costs nobody anything: as in Python it is an answer of its own.
FAILED = """
CREATE FUNCTION credit_failed(state text, words text, OUT outcome text, OUT reason text) LANGUAGE sql IMMUTABLE AS $$
    SELECT 'error', left(state || ': ' || words, 300)
$$
"""

READY = """
CREATE FUNCTION credit_refuse_unready(of_user text, plan text, granted credit_plan, due_at timestamptz,
    moment timestamptz)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF due_at <= moment THEN
        RAISE EXCEPTION 'Billing of ''%'' has been due since %: the next operation over HTTP or the sweep settles it.',
            of_user, credit_instant(due_at) USING ERRCODE = 'CRDUE';
    ELSIF granted.name IS NULL THEN
        RAISE EXCEPTION 'Plan ''%'' is not in the catalogue; it has %.', plan,
            (SELECT string_agg(p.name, ', ' ORDER BY p.rank) FROM credit_plan p WHERE p.called = p.name)
            USING ERRCODE = 'CRPLN';
    END IF;
END $$
"""

RECEIPT = """
CREATE FUNCTION credit_receipt(entry credit_journal, replayed boolean) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    v2 boolean := entry.served_engine = 'v2';
    limits bigint[] := CASE WHEN v2 THEN ARRAY[entry.v2_limit_analysis, entry.v2_limit_roast]
        ELSE ARRAY[entry.legacy_limit_analysis, entry.legacy_limit_roast] END;
    used bigint[] := CASE WHEN v2 THEN ARRAY[entry.v2_used_analysis, entry.v2_used_roast]
        ELSE ARRAY[entry.legacy_used_analysis, entry.legacy_used_roast] END;
    posted bigint[] := CASE WHEN v2 THEN ARRAY[entry.v2_posted_analysis, entry.v2_posted_roast]
        ELSE ARRAY[entry.legacy_posted_analysis, entry.legacy_posted_roast] END;
    bought bigint[] := ARRAY[coalesce((entry.context -> 'bought' ->> 0)::bigint, 0),
        coalesce((entry.context -> 'bought' ->> 1)::bigint, 0)];
BEGIN
    RETURN jsonb_build_object('operationId', entry.id, 'userId', entry.user_id, 'idempotencyKey', entry.operation_key,
        'outcome', entry.outcome, 'reason', entry.reason, 'replayed', replayed,
        'requested', jsonb_build_object('analysis', entry.requested_analysis, 'roast', entry.requested_roast),
        'charged', jsonb_build_object('analysis', entry.charged_analysis, 'roast', entry.charged_roast),
        'fromPacks', jsonb_build_object('analysis', entry.charged_analysis - posted[1],
            'roast', entry.charged_roast - posted[2]),
        'uncharged', coalesce((entry.context ->> 'uncharged')::boolean, false),
        'limit', jsonb_build_object('analysis', limits[1], 'roast', limits[2]),
        'remaining', jsonb_build_object(
            'analysis', limits[1] - least(used[1] + posted[1], limits[1]) + bought[1],
            'roast', limits[2] - least(used[2] + posted[2], limits[2]) + bought[2]),
        'periodStart', credit_written(CASE WHEN v2 THEN entry.v2_period_start ELSE entry.legacy_period_start END),
        'periodEnd', credit_written(CASE WHEN v2 THEN entry.v2_period_end ELSE entry.legacy_period_end END),
        'occurredAt', credit_written(entry.occurred_at),
        'engine', entry.served_engine, 'creditsV2Enabled', v2, 'fallback', NOT v2);
END $$
"""

WRITTEN = """
CREATE FUNCTION credit_written(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT replace(to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '') || 'Z'
$$
"""

# For people at psql. What a server's environment says is a setting of the database here, if at all.
CONSUME = """
CREATE FUNCTION consume_credits(user_id text, credit_type text, amount bigint DEFAULT 1,
    action_type text DEFAULT NULL, platform text DEFAULT NULL, metadata jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    operation_key text := coalesce(metadata ->> 'idempotencyKey', 'psql-' || gen_random_uuid());
    said json := json_strip_nulls(json_build_object('actionType', action_type, 'platform', platform,
        'metadata', nullif(metadata - 'idempotencyKey', '{}')));
    answer record;
BEGIN
    IF credit_type IS NULL OR credit_type NOT IN ('analysis', 'roast') THEN
        RAISE EXCEPTION 'There is no credit type ''%''; use analysis or roast.', credit_type USING ERRCODE = 'CRARG';
    ELSIF amount IS NULL OR amount NOT BETWEEN 1 AND 1000000 THEN
        RAISE EXCEPTION 'The amount is %; use 1 to 1000000.', amount USING ERRCODE = 'CRARG';
    ELSIF length(operation_key) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'An idempotencyKey has 1 to 200 characters; this one has %.', length(operation_key)
            USING ERRCODE = 'CRARG';
    END IF;
    answer := credit_operate(consume_credits.user_id, operation_key,
        CASE credit_type WHEN 'analysis' THEN amount ELSE 0 END, CASE credit_type WHEN 'roast' THEN amount ELSE 0 END,
        'psql:' || session_user, clock_timestamp(),
        coalesce(nullif(current_setting('rollout.environment', true), ''), 'production'),
        nullif(current_setting('rollout.enable_credits_v2', true), '')::boolean,
        note => nullif(said::text, '{}')::json);
    RETURN credit_receipt(answer.entry, answer.replayed);
END $$
"""

PERIOD_OF = """
CREATE FUNCTION get_or_create_active_period(user_id text, moment timestamptz DEFAULT clock_timestamp())
RETURNS usage_counters LANGUAGE plpgsql AS $$
DECLARE
    account record;
    counter usage_counters;
BEGIN
    SELECT * INTO counter FROM credit_counter(get_or_create_active_period.user_id, moment);
    SELECT u.plan, u.billing_anchor AS anchor, b.due_at, p AS granted INTO account
        FROM directory_user u
        LEFT JOIN credit_plan p ON p.called = u.plan
        LEFT JOIN billing_account b ON b.user_id = u.user_id
        WHERE u.user_id = get_or_create_active_period.user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'User ''%'' is not in the directory; add the user first.',
            get_or_create_active_period.user_id USING ERRCODE = 'CRUSR';
    END IF;
    PERFORM credit_refuse_unready(get_or_create_active_period.user_id, account.plan, account.granted, account.due_at,
        moment);
    IF counter.user_id IS NULL THEN
        counter := credit_opened(get_or_create_active_period.user_id, account.anchor, account.granted, moment);
    END IF;
    IF counter.plan <> (account.granted).name THEN
        counter := credit_followed(counter, account.granted, moment);
    END IF;
    RETURN counter;
END $$
"""

FUNCTIONS = (
    AMOUNTS,
    INSTANT,
    WRITTEN,
    PERIOD,
    BUCKET,
    EXPOSURE,
    FLAG,
    COUNTER,
    OPENED,
    FOLLOWED,
    MONTH,
    JUDGE_V2,
    POOL_SHORT,
    JUDGE_LEGACY,
    BEYOND,
    DRAW,
    FITS,
    CAUSE,
    FAILED,
    READY,
    OPERATE,
    RECEIPT,
    CONSUME,
    PERIOD_OF,
)
NAME = "CREATE FUNCTION "
DIFFERING = "ix_credit_journal_differing"


def upgrade() -> None:
    _create_tallies()
    differing = sa.text("variance <> 'match'")
    op.create_index(DIFFERING, "credit_journal", ["id"], sqlite_where=differing, postgresql_where=differing)
    if op.get_bind().dialect.name != "postgresql":
        return
    plans = op.create_table(
        "credit_plan",
        sa.Column("called", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        *(sa.Column(limit, sa.BigInteger) for limit in LIMITS),
    )
    op.bulk_insert(plans, [dict(zip(("called", "name", "rank", *LIMITS), row, strict=True)) for row in PLANS])
    for function in FUNCTIONS:
        op.get_bind().exec_driver_sql(function.replace("%", "%%"))


def downgrade() -> None:
    op.drop_index(DIFFERING, "credit_journal")
    for table in ("credit_tally", "credit_tally_mark"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "postgresql":
        return
    for function in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {function.split(NAME)[1].split('(')[0]}")
    op.drop_table("credit_plan")


def _create_tallies() -> None:
    """Sums of the journal up to a mark. They follow from it, so going down drops them and going up begins anew."""
    op.create_table(
        "credit_tally",
        sa.Column("engine", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("period_start", UtcDateTime, primary_key=True),
        sa.Column("analysis", sa.BigInteger, nullable=False),
        sa.Column("roast", sa.BigInteger, nullable=False),
    )
    mark = op.create_table(
        "credit_tally_mark",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("journal_id", sa.BigInteger, nullable=False),
        sa.Column("pending_id", sa.BigInteger, nullable=False),
        sa.Column("pending_until", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_credit_tally_mark_once"),
    )
    op.bulk_insert(mark, [{"id": 1, "journal_id": 0, "pending_id": 0, "pending_until": 0}])
