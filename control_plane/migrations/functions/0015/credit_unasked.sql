CREATE FUNCTION credit_unasked(OUT outcome text, OUT reason text) LANGUAGE sql IMMUTABLE AS $$
    SELECT NULL::text, 'Legacy is retired and was not asked.'
$$
