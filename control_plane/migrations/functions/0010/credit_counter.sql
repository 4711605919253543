CREATE FUNCTION credit_counter(of_user text, moment timestamptz) RETURNS SETOF usage_counters LANGUAGE sql AS $$
    SELECT * FROM usage_counters WHERE user_id = of_user AND period_start <= moment AND period_end > moment FOR UPDATE
$$
