CREATE FUNCTION credit_by_kind(figures bigint[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_object_agg(k.name, CASE WHEN k.position > cardinality(figures) THEN 0 ELSE figures[k.position] END)
        FROM credit_kind k
$$
