-- The amounts of a request for one kind, as Python writes them: two at least, and then up to the last that is not 0.
CREATE FUNCTION credit_asked(of_kind text, amount bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(CASE k.name WHEN of_kind THEN amount ELSE 0 END ORDER BY k.position) FROM credit_kind k
        WHERE k.position <= greatest(2, (SELECT f.position FROM credit_kind f WHERE f.name = of_kind))
$$
