-- What a rollout's plan exposes at its position, worked out when the rollout moves instead of once per operation.
-- A rollback must never wait for this: without a row of the rollout's version each operation reads the plan itself.
CREATE FUNCTION credit_route_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb := NEW.plan::jsonb;
    on_live record;
    switched_on text[];
BEGIN
    on_live := credit_exposure(plan, NEW.phase, NEW.step, 'production');
    SELECT array_agg(named.environment) INTO switched_on
        FROM (SELECT DISTINCT jsonb_array_elements_text(coalesce(each -> 'environments', '[]')) AS environment
            FROM jsonb_array_elements(plan -> 'phases') each) named
        WHERE (credit_exposure(plan, NEW.phase, NEW.step, named.environment)).everybody;
    INSERT INTO credit_route (flag, version, environments, allowlist, newcomers, newcomers_from, everyone)
        VALUES (NEW.flag, NEW.version, coalesce(switched_on, '{}'), on_live.allowlist, on_live.newcomers,
            credit_newcomers_from(plan), on_live.everyone)
        ON CONFLICT (flag) DO UPDATE SET (version, environments, allowlist, newcomers, newcomers_from, everyone)
            = (excluded.version, excluded.environments, excluded.allowlist, excluded.newcomers,
                excluded.newcomers_from, excluded.everyone);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'No route of % is kept: %', NEW.flag, SQLERRM;
    RETURN NULL;
END $$
