-- Ends a claim. KEYS: the record. ARGV: 1 'complete', 'fail', 'doubt' or 'release'; 2 fence; 3 now in us, '' for the
-- server's time; 4 ttl in us; 5 channel for news; 6 the action's key; 7 ttl in
-- ms; then names and values of fields.
local kept = redis.call('HMGET', KEYS[1], 'fence', 'state', 'waited', 'latch', 'over_doubt', 'error')
local now = tonumber(ARGV[3])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
if kept[1] ~= ARGV[2] or (kept[2] ~= 'in_progress' and kept[2] ~= 'in_doubt') then
    return {now, redis.call('HGETALL', KEYS[1])}
end
if ARGV[1] == 'release' then
    redis.call('DEL', KEYS[1])
else
    redis.call('HDEL', KEYS[1], 'token', 'lease_until', 'owner_process', 'owner_process_2')
    if kept[3] or kept[4] or kept[5] or kept[6] then
        redis.call('HDEL', KEYS[1], 'latch', 'waited', 'over_doubt', 'error')
    end
    if ARGV[1] == 'doubt' then
        redis.call('HSET', KEYS[1], 'state', 'in_doubt', unpack(ARGV, 8))
    else
        local state = ARGV[1] == 'complete' and 'completed' or 'failed'
        redis.call('HSET', KEYS[1], 'state', state, 'executed_at', string.format('%.0f', now), 'expires_at',
            string.format('%.0f', math.min(now + ARGV[4], 9007199254740991)), unpack(ARGV, 8))
        redis.call('PEXPIRE', KEYS[1], ARGV[7])
    end
end
if kept[3] then
    -- A user without the right to tell still has the right to finish.
    redis.pcall('PUBLISH', ARGV[5], ARGV[6])
end
return false
