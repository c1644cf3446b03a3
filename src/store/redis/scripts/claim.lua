-- Asks for the right to execute. The transition table for a claim, in the words of src/core/machine.rs.
-- KEYS: the record, the fence counter of its slot.
-- ARGV: 1 fingerprint to match, or ''; 2 '1': takes an action in doubt over; 3 token of the call; 4 fence of a claim whose
-- owner is dead, or ''; 5 '0': a new key may not be added; 6 '1': waits; 7 now in us, '' for the server's time;
-- 8 lease in us; 9 ttl in us; 10 calls to add to the attempts; 11 '1': wants the time; then names and values of fields.
local state = redis.call('HGET', KEYS[1], 'state')
local kept = {}
if state then
    kept = redis.call('HMGET', KEYS[1], 'state', 'fingerprint', 'fence', 'attempts', 'executed_at', 'expires_at', 'result',
        'result_bytes')
end
local now = tonumber(ARGV[7])
-- What this server holds has not expired by its own time.
local matches = ARGV[1] == '' or not kept[2] or kept[2] == ARGV[1]
if state == 'completed' and matches and not now and ARGV[11] == '0' then
    return {'replayed', kept[3], kept[4], kept[7], kept[8]}
end
local time = redis.call('TIME')
time = time[1] * 1000000 + time[2]
now = now or time
if (state == 'completed' or state == 'failed') and tonumber(kept[6]) <= now then
    state = false
elseif state and not matches then
    return {'mismatch', now, redis.call('HGETALL', KEYS[1])}
elseif state == 'completed' then
    return {'replay', kept[3], kept[2], kept[4], kept[5], kept[6], now, kept[7], kept[8]}
elseif state == 'failed' then
    local failure = redis.call('HMGET', KEYS[1], 'error_type', 'error', 'error_args')
    return {'replay_failure', kept[3], kept[2], kept[4], kept[5], kept[6], now, failure[1], failure[2], failure[3]}
end

local takes_over = false
local attempts, start, before, doubt = 1, now, false, false
if state then
    if state == 'in_progress' then
        local claim = redis.call('HMGET', KEYS[1], 'lease_until', 'latch', 'token', 'waited', 'owner',
            'owner_process', 'owner_process_2')
        if claim[3] == ARGV[3] then
            -- Written once more, so that a wait for replicas waits for it.
            redis.call('HSET', KEYS[1], 'token', ARGV[3])
            return {'again', kept[3], kept[4], now, redis.call('HGETALL', KEYS[1])}
        end
        if tonumber(claim[1]) > now and kept[3] ~= ARGV[4] then
            if ARGV[6] == '1' and not claim[4] then
                redis.call('HSET', KEYS[1], 'waited', '1')
            end
            return {'busy', kept[3], claim[5], claim[6], claim[7]}
        end
        takes_over = claim[2] ~= 'armed'
    else
        takes_over = true
    end
    if takes_over then
        before = redis.call('HGETALL', KEYS[1])
        if ARGV[2] ~= '1' then
            return {'in_doubt', now, before}
        end
        local doubted = redis.call('HMGET', KEYS[1], 'started_at', 'error')
        start, doubt = tonumber(doubted[1]), doubted[2]
    end
    attempts = kept[4] + ARGV[10] + 1
elseif ARGV[5] == '0' then
    return {'full'}
end

local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, tonumber(kept[3] or 0) + 1, time)
local text = string.format('%.0f', now)
fence = fence == now and text or string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence)
if kept[1] then
    redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], 'state', 'in_progress', 'fence', fence, 'attempts', attempts, 'token', ARGV[3],
    'started_at', start == now and text or string.format('%.0f', start), 'lease_until', string.format('%.0f', now + ARGV[8]),
    'expires_at', string.format('%.0f', math.min(now + ARGV[9], 9007199254740991)), unpack(ARGV, 12))
if not takes_over then
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
