CREATE FUNCTION credit_negative(amounts bigint[]) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    FOR i IN 1..cardinality(amounts) LOOP
        amounts[i] := -amounts[i];
    END LOOP;
    RETURN amounts;
END $$
