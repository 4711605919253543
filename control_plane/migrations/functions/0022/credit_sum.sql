-- What is not there is 0, so that a row from before a kind was added grows with its first credit.
CREATE FUNCTION credit_sum(amounts bigint[], added bigint[]) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    FOR i IN 1..cardinality(added) LOOP
        amounts[i] := coalesce(amounts[i], 0) + added[i];
    END LOOP;
    RETURN amounts;
END $$
