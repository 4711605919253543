-- A sign-up counts from the millisecond after the plan's: SDKs compare milliseconds.
CREATE FUNCTION credit_newcomers_from(plan jsonb) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc('milliseconds', (plan ->> 'new_signups_after')::timestamptz) + interval '1 millisecond'
$$
