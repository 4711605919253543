CREATE FUNCTION credit_amounts(kinds text[], amounts bigint[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    words text;
BEGIN
    FOR i IN 1..cardinality(amounts) LOOP
        IF amounts[i] <> 0 THEN
            words := concat_ws(' and ', words, amounts[i] || ' ' || kinds[i]);
        END IF;
    END LOOP;
    RETURN coalesce(words, '0');
END $$
