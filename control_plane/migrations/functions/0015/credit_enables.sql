-- Whether v2 serves, by the reason.
CREATE FUNCTION credit_enables(reason text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT left(reason, 1) <> 'D' AND reason <> 'TARGETING_MATCH: denied'
$$
