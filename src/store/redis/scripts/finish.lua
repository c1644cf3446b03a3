-- Ends a claim. KEYS: the record. ARGV: 1 'complete', 'fail', 'doubt' or 'release'; 2 fence; 3 now in us, '' for the
-- server's time; 4 ttl in us; 5 channel for news; 6 the action's key; then names and values of fields.
local kept = redis.call('HMGET', KEYS[1], 'fence', 'state', 'waited')
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
    redis.call('HDEL', KEYS[1], 'token', 'lease_until', 'latch', 'waited', 'over_doubt', 'error')
    if ARGV[1] == 'doubt' then
        redis.call('HSET', KEYS[1], 'state', 'in_doubt', unpack(ARGV, 7))
    else
        local state = ARGV[1] == 'complete' and 'completed' or 'failed'
        redis.call('HSET', KEYS[1], 'state', state, 'executed_at', string.format('%.0f', now), 'expires_at',
            string.format('%.0f', math.min(now + ARGV[4], 9007199254740991)), unpack(ARGV, 7))
        redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(math.ceil(ARGV[4] / 1000), 9007199254740)))
    end
end
if kept[3] then
    -- A user without the right to tell still has the right to finish.
    redis.pcall('PUBLISH', ARGV[5], ARGV[6])
end
return false
