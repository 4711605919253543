-- What a plan grants is rows of `credit_limit`; a decision reads it as one row of `credit_plan`. No row grants nothing.
CREATE FUNCTION credit_plan_limits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE credit_plan p
        SET kinds = (SELECT array_agg(k.name ORDER BY k.position) FROM credit_kind k),
            v2 = (SELECT array_agg(CASE WHEN l.kind IS NULL THEN 0 ELSE l.v2 END ORDER BY k.position)
                FROM credit_kind k LEFT JOIN credit_limit l ON l.kind = k.name AND l.plan = p.name),
            legacy = (SELECT array_agg(CASE WHEN l.kind IS NULL THEN 0 ELSE l.legacy END ORDER BY k.position)
                FROM credit_kind k LEFT JOIN credit_limit l ON l.kind = k.name AND l.plan = p.name);
    RETURN NULL;
END $$
