-- Month n is counted from the anchor, never from the month before; PostgreSQL clips the day to the month's length.
CREATE FUNCTION credit_period(anchor timestamptz, moment timestamptz, OUT starts timestamptz, OUT ends timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    base timestamp := coalesce(anchor AT TIME ZONE 'UTC', date_trunc('month', moment AT TIME ZONE 'UTC'));
    here timestamp := moment AT TIME ZONE 'UTC';
    n integer := (extract(year FROM here) - extract(year FROM base)) * 12
        + extract(month FROM here) - extract(month FROM base);
BEGIN
    IF base + make_interval(months => n) > here THEN
        n := n - 1;
    END IF;
    starts := (base + make_interval(months => n)) AT TIME ZONE 'UTC';
    ends := (base + make_interval(months => n + 1)) AT TIME ZONE 'UTC';
END $$
