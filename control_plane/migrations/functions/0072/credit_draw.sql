-- Take that part from the packs of one kind, the one that expires soonest first; the caller has locked them.
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
        UPDATE credit_pack p SET remaining = p.remaining - part WHERE p.user_id = of_user AND p.id = pack.id;
        INSERT INTO credit_pack_entry (journal_id, pack_id, amount, user_id) VALUES (of_entry, pack.id, -part, of_user);
        missing := missing - part;
    END LOOP;
END $$
