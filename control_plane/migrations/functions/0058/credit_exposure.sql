-- Which customers meet conditions on their attributes is decided by Unleash's engine alone, in Python. While such an
-- audience is open and not everyone is in, nothing is answered here: the caller does it the long way, with one truth.
CREATE FUNCTION credit_exposure(plan jsonb, phase integer, step integer, environment text,
    OUT everybody boolean, OUT allowlist boolean, OUT newcomers integer, OUT everyone integer)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    place text := coalesce(plan ->> 'environment', 'production');
    here jsonb;
    percentage integer;
    by_attributes boolean := false;
BEGIN
    everybody := false; allowlist := false; newcomers := 0; everyone := 0;
    -- The audiences of a plan of one environment are of its users, and open nothing elsewhere.
    IF place <> 'production' AND environment <> place THEN
        RETURN;
    END IF;
    FOR i IN 0..phase LOOP
        here := plan -> 'phases' -> i;
        percentage := (here -> 'steps' ->> CASE WHEN i = phase THEN step ELSE -1 END)::integer;
        CASE here ->> 'audience'
            WHEN 'environments' THEN everybody := here -> 'environments' ? environment;
            WHEN 'allowlist' THEN allowlist := environment = place;
            WHEN 'new_signups' THEN newcomers := CASE WHEN environment = place THEN percentage ELSE 0 END;
            WHEN 'everyone' THEN everyone := CASE WHEN environment = place THEN percentage ELSE 0 END;
            ELSE by_attributes := environment = place;
        END CASE;
    END LOOP;
    IF by_attributes AND everyone < 100 THEN
        RAISE EXCEPTION 'The rollout is open to customers by their attributes, which only the application evaluates.'
            USING ERRCODE = 'CRAUD';
    END IF;
END $$
