-- Of two first requests one creates the row and both get it. Where the period before may roll over, Python opens the
-- next one: what rolls over is reckoned in one place alone.
CREATE FUNCTION credit_opened(of_user text, anchor timestamptz, granted credit_plan, moment timestamptz)
RETURNS usage_counters LANGUAGE plpgsql AS $$
DECLARE
    counter usage_counters;
    starts timestamptz;
    ends timestamptz;
    ended record;
    next_start timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_user, 297));
    SELECT * INTO counter FROM credit_counter(of_user, moment);
    IF NOT FOUND THEN
        SELECT p.starts, p.ends INTO starts, ends FROM credit_period(anchor, moment) p;
        SELECT c.period_start, c.period_end, c.plan INTO ended FROM usage_counters c
            WHERE c.user_id = of_user AND c.period_start <= moment ORDER BY c.period_start DESC LIMIT 1;
        IF starts <= ended.period_end AND EXISTS (SELECT FROM credit_plan_version v
                WHERE v.plan = regexp_replace(ended.plan, ':[0-9]+$', '') AND v.rollovers IS NOT NULL
                    AND v.starts_at <= ended.period_start) THEN
            RAISE EXCEPTION 'The last period of ''%'' may roll over: the next operation over HTTP or the sweep opens'
                ' the one that follows.', of_user USING ERRCODE = 'CRROL';
        END IF;
        SELECT min(c.period_start) INTO next_start FROM usage_counters c
            WHERE c.user_id = of_user AND c.period_start > moment;
        INSERT INTO usage_counters (user_id, period_start, period_end, plan, used, limits)
            VALUES (of_user, greatest(starts, ended.period_end), least(ends, next_start), (granted).name, '{0,0}',
                (granted).v2)
            RETURNING * INTO counter;
    END IF;
    RETURN counter;
END $$
