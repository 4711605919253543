-- The limits in force, of kinds that were added since the period was opened as well.
CREATE FUNCTION credit_limits(limits bigint[], of_plan text) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT limits || (SELECT p.v2[cardinality(limits) + 1:] FROM credit_plan p WHERE p.called = of_plan)
$$
