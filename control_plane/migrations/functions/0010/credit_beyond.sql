-- The part of a charge that the plan does not cover and packs do.
CREATE FUNCTION credit_beyond(granted bigint, used bigint, bought bigint, charged bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN granted IS NULL THEN 0
        ELSE least(greatest(charged - greatest(granted - used, 0), 0), bought) END;
END $$
