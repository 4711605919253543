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
