-- The state as one environment has it: a rollback reaches development and staging only if it was asked to.
CREATE FUNCTION credit_state_in(state text, latches_all boolean, environment text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN state = 'rolled_back' AND environment IN ('development', 'staging') AND NOT latches_all
        THEN 'running' ELSE state END
$$
