-- An engine that fails costs nobody anything: as in Python it is an answer of its own.
CREATE FUNCTION credit_failed(state text, words text, OUT outcome text, OUT reason text) LANGUAGE sql IMMUTABLE AS $$
    SELECT 'error', left(state || ': ' || words, 300)
$$
