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
