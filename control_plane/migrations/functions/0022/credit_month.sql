CREATE FUNCTION credit_month(of_user text, month timestamptz) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    found_used bigint[];
BEGIN
    LOOP
        SELECT b.used INTO found_used FROM legacy_book b
            WHERE b.user_id = of_user AND b.month_start = month FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO legacy_book (user_id, month_start, used) VALUES (of_user, month, '{0,0}')
            ON CONFLICT DO NOTHING RETURNING used INTO found_used;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN found_used;
END $$
