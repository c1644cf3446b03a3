
-- What the verbs call. Their rules are the transition table of src/core/machine.rs.

CREATE OR REPLACE FUNCTION idempotency_now(given bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT coalesce(given, (date_part('epoch', clock_timestamp()) * 1000000)::bigint) $$;

-- Cut off at the end of time.
CREATE OR REPLACE FUNCTION idempotency_after(instant bigint, span bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN instant > 0 THEN instant + least(span, 9223372036854775807 - instant) ELSE instant + span END $$;

-- A fence newer than any that was issued, and than this one: a standby that took over may not have heard of the last.
CREATE OR REPLACE FUNCTION idempotency_newer_fence(than bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT greatest(nextval('idempotency_fence'), than + 1) $$;

-- The channel of a namespace. Payloads: 'e' and a key: its claim has ended; 'c' and a key: its record has changed; 'a': all have.
CREATE OR REPLACE FUNCTION idempotency_channel(space text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'idempotency_' || md5(space) $$;

-- Tells those who wait for this key, if there are any.
CREATE OR REPLACE FUNCTION idempotency_tell_end(space text, of_key text, awaited boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF awaited THEN
        PERFORM pg_notify(idempotency_channel(space), 'e' || of_key);
    END IF;
END $$;

-- Tells those who keep copies of records, if there are any. NULL: all records.
CREATE OR REPLACE FUNCTION idempotency_tell_change(space text, of_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM idempotency_counters WHERE namespace = space AND name = 'followed') THEN
        PERFORM pg_notify(idempotency_channel(space), coalesce('c' || of_key, 'a'));
    END IF;
END $$;

-- Adds to counters. Each backend has one of a few rows of a counter, so that they seldom wait for each other.
CREATE OR REPLACE FUNCTION idempotency_add(space text, counters text[], numbers bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO idempotency_counters AS held (namespace, name, value)
    SELECT space, given.name || '/' || pg_backend_pid() % 8, given.number
    FROM unnest(counters, numbers) AS given (name, number) WHERE given.number > 0 ORDER BY given.name COLLATE "C"
    ON CONFLICT (namespace, name) DO UPDATE SET value = held.value + excluded.value
$$;

-- A claim of a key that is there, or may be: what it met; under what fence it was granted, and as which call; and the
-- record, that which it took over as it was before. A duplicate neither writes nor locks; a new key costs one insert; what has to be written over is looked at
-- again while it is.
CREATE OR REPLACE FUNCTION idempotency_claim(
    p_namespace text, p_key text, p_now bigint, p_fingerprint bytea, p_checks boolean, p_takes_over boolean,
    p_latch boolean, p_signal text, p_action text, p_target text, p_lease bigint, p_ttl bigint, p_owner text,
    p_process text, p_token text, p_orphan bigint, p_may_add boolean, p_waits boolean, p_untold integer, p_params text,
    p_context text,
    OUT met text, OUT now bigint, OUT granted bigint, OUT calls integer, OUT fence bigint, OUT key text, OUT state text, OUT latch text, OUT signal_id text,
    OUT action_type text, OUT target text, OUT fingerprint bytea, OUT owner text, OUT owner_process text,
    OUT attempts integer, OUT started_at bigint, OUT lease_until bigint, OUT executed_at bigint, OUT expires_at bigint,
    OUT result text, OUT result_bytes bytea, OUT error text, OUT error_type text, OUT error_args text, OUT params text,
    OUT context text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r idempotency_records%ROWTYPE;
    expired boolean;
BEGIN
    LOOP
        now := idempotency_now(p_now);
        SELECT * INTO r FROM idempotency_records WHERE namespace = p_namespace AND key = p_key;
        IF NOT FOUND THEN
            IF NOT p_may_add THEN
                met := 'full';
                RETURN;
            END IF;
            INSERT INTO idempotency_records (
                namespace, key, fence, state, latch, signal_id, action_type, target, fingerprint, owner, owner_process,
                token, attempts, started_at, lease_until, expires_at, params, context
            ) VALUES (
                p_namespace, p_key, nextval('idempotency_fence'), 'in_progress', CASE WHEN p_latch THEN 'armed' END,
                p_signal, p_action, p_target, p_fingerprint, p_owner, p_process, p_token, 1, now,
                idempotency_after(now, p_lease), idempotency_after(now, p_ttl), p_params, p_context
            ) ON CONFLICT DO NOTHING RETURNING idempotency_records.fence INTO granted;
            IF FOUND THEN
                met := 'run';
                calls := 1;
                RETURN;
            END IF;
            CONTINUE;
        END IF;

        expired := r.executed_at IS NOT NULL AND r.expires_at <= now;
        met := CASE
            WHEN expired THEN 'run'
            WHEN r.token = p_token AND r.state = 'in_progress' THEN 'mine'
            WHEN p_checks AND r.fingerprint <> p_fingerprint THEN 'mismatch'
            WHEN r.state = 'completed' THEN 'replay'
            WHEN r.state = 'failed' THEN 'replay_failure'
            WHEN r.state = 'in_progress' AND r.lease_until > now AND r.fence IS DISTINCT FROM p_orphan THEN 'busy'
            WHEN r.state = 'in_progress' AND r.latch = 'armed' THEN 'run'
            WHEN p_takes_over THEN 'take_over'
            ELSE 'in_doubt'
        END;

        IF met = 'busy' AND p_waits AND NOT r.awaited THEN
            UPDATE idempotency_records SET awaited = true
            WHERE namespace = p_namespace AND key = p_key AND fence = r.fence AND state = 'in_progress';
            CONTINUE WHEN NOT FOUND;
        ELSIF met = 'mine' THEN
            met := CASE WHEN r.previous IS NULL THEN 'run' ELSE 'take_over' END;
            granted := r.fence;
            calls := r.attempts;
            r := coalesce(jsonb_populate_record(NULL::idempotency_records, r.previous), r);
        ELSIF met IN ('run', 'take_over') THEN
            UPDATE idempotency_records SET
                fence = idempotency_newer_fence(fence),
                state = 'in_progress',
                latch = CASE WHEN p_latch THEN CASE met WHEN 'run' THEN 'armed' ELSE 'dispatched' END END,
                signal_id = p_signal, action_type = p_action, target = p_target, fingerprint = p_fingerprint,
                owner = p_owner, owner_process = p_process, token = p_token,
                attempts = CASE WHEN expired THEN 1 ELSE attempts + p_untold + 1 END,
                started_at = CASE met WHEN 'run' THEN now ELSE started_at END,
                lease_until = idempotency_after(now, p_lease), executed_at = NULL,
                expires_at = idempotency_after(now, p_ttl),
                result = NULL, result_bytes = NULL, error = NULL, error_type = NULL, error_args = NULL,
                params = p_params, context = p_context, awaited = awaited AND NOT expired,
                previous = CASE met WHEN 'take_over' THEN to_jsonb(r) - 'previous' END
            WHERE namespace = p_namespace AND key = p_key AND fence = r.fence AND state = r.state
                AND expires_at = r.expires_at AND lease_until IS NOT DISTINCT FROM r.lease_until
                AND latch IS NOT DISTINCT FROM r.latch
            RETURNING idempotency_records.fence, idempotency_records.attempts INTO granted, calls;
            CONTINUE WHEN NOT FOUND;
            IF expired THEN
                PERFORM idempotency_add(p_namespace, ARRAY['expired_cleaned'], ARRAY[1]);
            END IF;
        END IF;
        EXIT;
    END LOOP;
    IF met = 'run' THEN
        RETURN;
    END IF;
    fence := r.fence;
    attempts := r.attempts;
    key := r.key;
    state := r.state;
    latch := r.latch;
    signal_id := r.signal_id;
    action_type := r.action_type;
    target := r.target;
    fingerprint := r.fingerprint;
    owner := r.owner;
    owner_process := r.owner_process;
    started_at := r.started_at;
    lease_until := r.lease_until;
    executed_at := r.executed_at;
    expires_at := r.expires_at;
    result := r.result;
    result_bytes := r.result_bytes;
    error := r.error;
    error_type := r.error_type;
    error_args := r.error_args;
    params := r.params;
    context := r.context;
END $$;

-- Takes back a claim whose answer was lost: what was in doubt before is so again, anything else is gone.
CREATE OR REPLACE FUNCTION idempotency_abandon(p_namespace text, p_key text, p_token text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r idempotency_records%ROWTYPE;
    before idempotency_records%ROWTYPE;
BEGIN
    SELECT * INTO r FROM idempotency_records
    WHERE namespace = p_namespace AND key = p_key AND token = p_token AND state = 'in_progress' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF r.previous IS NULL THEN
        DELETE FROM idempotency_records WHERE namespace = p_namespace AND key = p_key;
    ELSE
        before := jsonb_populate_record(NULL::idempotency_records, r.previous);
        UPDATE idempotency_records SET
            state = 'in_doubt', latch = NULL, lease_until = NULL, token = NULL, previous = NULL,
            error = before.error, signal_id = before.signal_id, action_type = before.action_type,
            target = before.target, fingerprint = before.fingerprint, owner = before.owner,
            owner_process = before.owner_process, expires_at = before.expires_at, params = before.params,
            context = before.context
        WHERE namespace = p_namespace AND key = p_key;
    END IF;
    PERFORM idempotency_tell_end(p_namespace, p_key, r.awaited);
END $$;

-- Longer leases, or released latches, for claims that stand under their fences; answers with these. One after the other, in the
-- order of their keys: so no two calls wait for each other, and no plan has to be found for a join.
CREATE OR REPLACE FUNCTION idempotency_hold(
    p_namespace text, p_keys text[], p_fences bigint[], p_now bigint, p_lease bigint, p_latch text
) RETURNS TABLE (held_key text, held_fence bigint) LANGUAGE plpgsql AS $$
DECLARE
    instant CONSTANT bigint := idempotency_now(p_now);
BEGIN
    FOR held_key, held_fence IN
        SELECT given.key, given.fence FROM unnest(p_keys, p_fences) AS given (key, fence) ORDER BY given.key COLLATE "C"
    LOOP
        UPDATE idempotency_records SET
            lease_until = CASE WHEN p_lease IS NULL THEN lease_until ELSE idempotency_after(instant, p_lease) END,
            latch = coalesce(p_latch, latch)
        WHERE namespace = p_namespace AND key = held_key AND fence = held_fence AND state = 'in_progress';
        IF FOUND THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;

-- Adds what was counted elsewhere: attempts of records under their fences, and counters.
CREATE OR REPLACE FUNCTION idempotency_count(
    p_namespace text, p_keys text[], p_fences bigint[], p_calls bigint[], p_names text[], p_numbers bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    of_key text;
    of_fence bigint;
    calls bigint;
BEGIN
    FOR of_key, of_fence, calls IN
        SELECT given.key, given.fence, given.calls FROM unnest(p_keys, p_fences, p_calls) AS given (key, fence, calls)
        ORDER BY given.key COLLATE "C"
    LOOP
        UPDATE idempotency_records SET attempts = least(attempts + calls, 2147483647)
        WHERE namespace = p_namespace AND key = of_key AND fence = of_fence;
    END LOOP;
    PERFORM idempotency_add(p_namespace, p_names, p_numbers);
END $$;

-- A result by hand; answers whether it was written, which it is not where the key is new and may not be added.
CREATE OR REPLACE FUNCTION idempotency_mark(
    p_namespace text, p_key text, p_now bigint, p_may_add boolean, p_fingerprint bytea, p_signal text, p_action text,
    p_target text, p_ttl bigint, p_owner text, p_process text, p_result text, p_result_bytes bytea, p_params text,
    p_context text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    r idempotency_records%ROWTYPE;
    instant bigint;
    expired boolean;
BEGIN
    LOOP
        SELECT * INTO r FROM idempotency_records WHERE namespace = p_namespace AND key = p_key FOR UPDATE;
        instant := idempotency_now(p_now);
        EXIT WHEN FOUND;
        IF NOT p_may_add THEN
            RETURN false;
        END IF;
        INSERT INTO idempotency_records (
            namespace, key, fence, state, signal_id, action_type, target, fingerprint, owner, owner_process, attempts,
            started_at, executed_at, expires_at, result, result_bytes, params, context
        ) VALUES (
            p_namespace, p_key, nextval('idempotency_fence'), 'completed', p_signal, p_action, p_target, p_fingerprint,
            p_owner, p_process, 1, instant, instant, idempotency_after(instant, p_ttl), p_result, p_result_bytes,
            p_params, p_context
        ) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN true;
        END IF;
    END LOOP;
    expired := r.executed_at IS NOT NULL AND r.expires_at <= instant;
    UPDATE idempotency_records SET
        fence = idempotency_newer_fence(fence), state = 'completed', latch = NULL, signal_id = p_signal,
        action_type = p_action, target = p_target, fingerprint = p_fingerprint, owner = p_owner,
        owner_process = p_process, token = NULL, attempts = CASE WHEN expired THEN 1 ELSE attempts END,
        started_at = CASE WHEN expired THEN instant ELSE started_at END, lease_until = NULL, executed_at = instant,
        expires_at = idempotency_after(instant, p_ttl), result = p_result, result_bytes = p_result_bytes, error = NULL,
        error_type = NULL, error_args = NULL, params = p_params, context = p_context, previous = NULL, awaited = false
    WHERE namespace = p_namespace AND key = p_key;
    IF expired THEN
        PERFORM idempotency_add(p_namespace, ARRAY['expired_cleaned'], ARRAY[1]);
    END IF;
    PERFORM idempotency_tell_end(p_namespace, p_key, r.awaited);
    PERFORM idempotency_tell_change(p_namespace, p_key);
    RETURN true;
END $$;

-- A person's word on an action in doubt: that it happened, or did not. `p_orphan`: the fence of a claim whose owner is
-- known to be dead. Answers with what stands there instead of an action in doubt; the state NULL: it is resolved.
CREATE OR REPLACE FUNCTION idempotency_resolve(
    p_namespace text, p_key text, p_now bigint, p_orphan bigint, p_happened boolean, p_ttl bigint, p_result text,
    p_result_bytes bytea, OUT state text, OUT fence bigint, OUT owner text, OUT owner_process text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r idempotency_records%ROWTYPE;
    instant bigint;
BEGIN
    SELECT * INTO r FROM idempotency_records WHERE namespace = p_namespace AND key = p_key FOR UPDATE;
    instant := idempotency_now(p_now);
    IF r.key IS NULL OR (r.executed_at IS NOT NULL AND r.expires_at <= instant) THEN
        state := 'not recorded';
        RETURN;
    END IF;
    IF r.executed_at IS NOT NULL
        OR (r.state = 'in_progress' AND r.lease_until > instant AND r.fence IS DISTINCT FROM p_orphan) THEN
        state := r.state;
        fence := r.fence;
        owner := r.owner;
        owner_process := r.owner_process;
        RETURN;
    END IF;
    IF p_happened THEN
        UPDATE idempotency_records SET
            fence = idempotency_newer_fence(fence), state = 'completed', latch = NULL, token = NULL,
            lease_until = NULL, executed_at = instant, expires_at = idempotency_after(instant, p_ttl),
            result = p_result, result_bytes = p_result_bytes, error = NULL, previous = NULL, awaited = false
        WHERE namespace = p_namespace AND key = p_key;
    ELSE
        DELETE FROM idempotency_records WHERE namespace = p_namespace AND key = p_key;
    END IF;
    PERFORM idempotency_tell_end(p_namespace, p_key, r.awaited);
END $$;

-- Removes a record; answers whether a live one was there.
CREATE OR REPLACE FUNCTION idempotency_clear(p_namespace text, p_key text, p_now bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    r idempotency_records%ROWTYPE;
BEGIN
    DELETE FROM idempotency_records WHERE namespace = p_namespace AND key = p_key RETURNING * INTO r;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM idempotency_tell_end(p_namespace, p_key, r.awaited);
    PERFORM idempotency_tell_change(p_namespace, p_key);
    IF r.executed_at IS NOT NULL AND r.expires_at <= idempotency_now(p_now) THEN
        PERFORM idempotency_add(p_namespace, ARRAY['expired_cleaned'], ARRAY[1]);
        RETURN false;
    END IF;
    RETURN true;
END $$;

-- Removes some expired records, none that others hold; answers with their number.
CREATE OR REPLACE FUNCTION idempotency_cleanup(p_namespace text, p_now bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    instant CONSTANT bigint := idempotency_now(p_now);
    removed bigint;
BEGIN
    DELETE FROM idempotency_records WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency_records
        WHERE namespace = p_namespace AND executed_at IS NOT NULL AND expires_at <= instant
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM idempotency_add(p_namespace, ARRAY['expired_cleaned'], ARRAY[removed]);
    RETURN removed;
END $$;

-- Removes live finished records, those that finished first; answers with their number. What others hold is left, as long as
-- there is anything else.
CREATE OR REPLACE FUNCTION idempotency_remove_oldest(p_namespace text, p_now bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    instant CONSTANT bigint := idempotency_now(p_now);
    chosen tid[];
    removed bigint;
BEGIN
    chosen := ARRAY(
        SELECT ctid FROM idempotency_records
        WHERE namespace = p_namespace AND executed_at IS NOT NULL AND expires_at > instant
        ORDER BY executed_at, fence LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    IF cardinality(chosen) = 0 THEN
        chosen := ARRAY(
            SELECT ctid FROM idempotency_records
            WHERE namespace = p_namespace AND executed_at IS NOT NULL AND expires_at > instant
            ORDER BY executed_at, fence LIMIT p_limit FOR UPDATE
        );
    END IF;
    DELETE FROM idempotency_records WHERE ctid = ANY (chosen);
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed > 0 THEN
        PERFORM idempotency_tell_change(p_namespace, NULL);
    END IF;
    RETURN removed;
END $$;

-- Removes some records of any state, in the order of their keys; answers with the number of live ones, and the last key, if
-- there may be more.
CREATE OR REPLACE FUNCTION idempotency_clear_some(
    p_namespace text, p_after text, p_now bigint, p_limit bigint, OUT live bigint, OUT last text
) LANGUAGE plpgsql AS $$
DECLARE
    instant CONSTANT bigint := idempotency_now(p_now);
    removed bigint;
BEGIN
    WITH gone AS (
        DELETE FROM idempotency_records WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM idempotency_records WHERE namespace = p_namespace AND key > p_after
            ORDER BY key LIMIT p_limit FOR UPDATE
        )) RETURNING key, awaited, executed_at IS NULL OR expires_at > instant AS was_live
    ), told AS (
        SELECT key, was_live, idempotency_tell_end(p_namespace, key, awaited) FROM gone
    )
    SELECT count(*), count(*) FILTER (WHERE was_live), max(key) INTO removed, live, last
    FROM (SELECT * FROM told OFFSET 0) AS all_gone;
    PERFORM idempotency_add(p_namespace, ARRAY['expired_cleaned'], ARRAY[removed - live]);
    IF removed > 0 THEN
        PERFORM idempotency_tell_change(p_namespace, NULL);
    END IF;
    IF removed < p_limit THEN
        last := NULL;
    END IF;
END $$;

-- Puts a record down as it is, under a newer fence: 'written', 'occupied' by a live one, or 'expired'.
CREATE OR REPLACE FUNCTION idempotency_put(p_namespace text, p_now bigint, given idempotency_records) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    r idempotency_records%ROWTYPE;
    instant bigint;
BEGIN
    LOOP
        SELECT * INTO r FROM idempotency_records WHERE namespace = p_namespace AND key = given.key FOR UPDATE;
        instant := idempotency_now(p_now);
        IF given.executed_at IS NOT NULL AND given.expires_at <= instant THEN
            RETURN 'expired';
        END IF;
        IF r.key IS NOT NULL THEN
            IF r.executed_at IS NULL OR r.expires_at > instant THEN
                RETURN 'occupied';
            END IF;
            DELETE FROM idempotency_records WHERE namespace = p_namespace AND key = given.key;
            PERFORM idempotency_add(p_namespace, ARRAY['expired_cleaned'], ARRAY[1]);
        END IF;
        given.namespace := p_namespace;
        given.fence := idempotency_newer_fence(coalesce(r.fence, 0));
        given.awaited := false;
        INSERT INTO idempotency_records SELECT given.* ON CONFLICT DO NOTHING;
        IF FOUND THEN
            PERFORM idempotency_tell_end(p_namespace, given.key, r.awaited);
            PERFORM idempotency_tell_change(p_namespace, given.key);
            RETURN 'written';
        END IF;
    END LOOP;
END $$;

INSERT INTO idempotency_meta (name, value) VALUES ('schema', 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
