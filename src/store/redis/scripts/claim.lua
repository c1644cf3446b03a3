-- Asks for the right to execute. The transition table for a claim, in the words of src/core/machine.rs.
-- KEYS: the record, the fence counter of its slot.
-- ARGV: the fingerprint to match, or ''; '1' where a duplicate need not know its times; the rest as one array, which only
-- what is no such duplicate takes apart.
local kept = redis.call('HMGET', KEYS[1], 'state', 'fence', 'attempts', 'result', 'fingerprint')
local state, last_fence, calls = kept[1], kept[2], kept[3]
local matches = ARGV[1] == '' or not kept[5] or kept[5] == ARGV[1]
-- What this server holds has not expired by its own time.
if state == 'completed' and ARGV[2] == '1' and matches and kept[4] then
    return kept
end

-- '1': takes an action in doubt over; the call's token; the fence of a claim whose owner is dead, or ''; '0': a new key
-- may not be added; '1': waits; now in us, '' for the server's time; lease in us; ttl in us; calls to add to the
-- attempts; then names and values of fields.
local asked = cmsgpack.unpack(ARGV[3])
local takes_over, token, orphan, may_add, waits, given, lease, ttl, untold = unpack(asked, 1, 9)
local FIELDS = 10
local time = redis.call('TIME')
time = time[1] * 1000000 + time[2]
local now = tonumber(given) or time

if state == 'completed' or state == 'failed' then
    local finished = redis.call('HMGET', KEYS[1], 'executed_at', 'expires_at')
    if tonumber(finished[2]) <= now then
        state = false
    elseif matches and state == 'completed' then
        local result = redis.call('HMGET', KEYS[1], 'result', 'result_bytes')
        return {'replay', last_fence, kept[5], calls, finished[1], finished[2], now, result[1], result[2]}
    elseif matches then
        local failure = redis.call('HMGET', KEYS[1], 'error_type', 'error', 'error_args')
        return {'replay_failure', last_fence, kept[5], calls, finished[1], finished[2], now, failure[1], failure[2],
            failure[3]}
    end
end
if state and not matches then
    return {'mismatch', now, redis.call('HGETALL', KEYS[1])}
end

local over_doubt = false
local attempts, start, before, doubt = 1, now, false, false
if state then
    if state == 'in_progress' then
        local claim = redis.call('HMGET', KEYS[1], 'lease_until', 'latch', 'token', 'waited', 'owner', 'owner_process',
            'owner_process_2')
        if claim[3] == token then
            -- Written once more, so that a wait for replicas waits for it.
            redis.call('HSET', KEYS[1], 'token', token)
            return {'again', last_fence, calls, now, redis.call('HGETALL', KEYS[1])}
        end
        if tonumber(claim[1]) > now and last_fence ~= orphan then
            if waits == '1' and not claim[4] then
                redis.call('HSET', KEYS[1], 'waited', '1')
            end
            return {'busy', last_fence, claim[5], claim[6], claim[7]}
        end
        over_doubt = claim[2] ~= 'armed'
    else
        over_doubt = true
    end
    if over_doubt then
        before = redis.call('HGETALL', KEYS[1])
        if takes_over ~= '1' then
            return {'in_doubt', now, before}
        end
        local doubted = redis.call('HMGET', KEYS[1], 'started_at', 'error')
        start, doubt = tonumber(doubted[1]), doubted[2]
    end
    attempts = calls + untold + 1
elseif may_add == '0' then
    return {'full'}
end

local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, tonumber(last_fence or 0) + 1, time)
local text = string.format('%.0f', now)
fence = fence == now and text or string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence)
if tonumber(given) then
    redis.call('EXPIRE', KEYS[2], 86400) -- another clock than the server's is a test's
end
if last_fence then
    redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], 'state', 'in_progress', 'fence', fence, 'attempts', attempts, 'token', token,
    'lease_until', string.format('%.0f', now + lease), 'started_at', start == now and text or string.format('%.0f', start),
    'expires_at', string.format('%.0f', math.min(now + ttl, 9007199254740991)), unpack(asked, FIELDS))
if not over_doubt then
    return {'run', fence, attempts}
end
-- The doubt is older than the claim, and outlives it: see `Decision::latch`.
redis.call('HSET', KEYS[1], 'over_doubt', '1')
if doubt then
    redis.call('HSET', KEYS[1], 'error', doubt)
end
if redis.call('HEXISTS', KEYS[1], 'latch') == 1 then
    redis.call('HSET', KEYS[1], 'latch', 'dispatched')
end
return {'take_over', fence, attempts, now, before}
