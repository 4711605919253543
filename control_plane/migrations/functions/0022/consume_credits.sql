-- For people at psql. What a server's environment says is a setting of the database here, if at all.
CREATE FUNCTION consume_credits(user_id text, credit_type text, amount bigint DEFAULT 1,
    action_type text DEFAULT NULL, platform text DEFAULT NULL, metadata jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    operation_key text := coalesce(metadata ->> 'idempotencyKey', 'psql-' || gen_random_uuid());
    said json := json_strip_nulls(json_build_object('actionType', action_type, 'platform', platform,
        'metadata', nullif(metadata - 'idempotencyKey', '{}')));
    answer record;
BEGIN
    IF credit_type IS NULL OR NOT EXISTS (SELECT FROM credit_kind k WHERE k.name = credit_type) THEN
        RAISE EXCEPTION 'There is no credit type ''%''; use %.', credit_type,
            (SELECT string_agg(k.name, ' or ' ORDER BY k.position) FROM credit_kind k) USING ERRCODE = 'CRARG';
    ELSIF amount IS NULL OR amount NOT BETWEEN 1 AND 1000000 THEN
        RAISE EXCEPTION 'The amount is %; use 1 to 1000000.', amount USING ERRCODE = 'CRARG';
    ELSIF length(operation_key) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'An idempotencyKey has 1 to 200 characters; this one has %.', length(operation_key)
            USING ERRCODE = 'CRARG';
    END IF;
    answer := credit_operate(consume_credits.user_id, operation_key,
        credit_asked(credit_type, amount), 'psql:' || session_user, clock_timestamp(),
        coalesce(nullif(current_setting('rollout.environment', true), ''), 'production'),
        nullif(current_setting('rollout.enable_credits_v2', true), '')::boolean,
        note => nullif(said::text, '{}')::json);
    RETURN credit_receipt(answer.entry, answer.replayed);
END $$
