-- One expression of immutable parts, so that PostgreSQL writes it into the query in place of a call.
CREATE OR REPLACE FUNCTION credit_amounts(analysis bigint, roast bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN analysis <> 0 AND roast <> 0 THEN analysis::text || ' analysis and ' || roast::text || ' roast'
        WHEN roast <> 0 THEN roast::text || ' roast'
        WHEN analysis <> 0 THEN analysis::text || ' analysis'
        ELSE '0' END
$$
