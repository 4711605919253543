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
