-- A person's word on an action in doubt. KEYS: the record, the fence counter of its slot. ARGV: 1 'executed' or
-- 'not_executed'; 2 fence of a claim whose owner is dead, or ''; 3 now in us or '' for the server's time; 4 ttl in us;
-- 5 channel for news; 6 the action's key; 7 ttl in ms; then names and values of fields.
local time = redis.call('TIME')
time = time[1] * 1000000 + time[2]
local now = tonumber(ARGV[3]) or time
local kept = redis.call('HMGET', KEYS[1], 'state', 'fence', 'lease_until', 'expires_at', 'waited', 'owner', 'owner_process',
    'owner_process_2')
local state = kept[1]
if (state == 'completed' or state == 'failed') and tonumber(kept[4]) <= now then
    state = false
end
if state == 'in_progress' and tonumber(kept[3]) > now and kept[2] ~= ARGV[2] then
    return {state, kept[2], kept[6], kept[7], kept[8]}
elseif state ~= 'in_progress' and state ~= 'in_doubt' then
    return {state or 'nothing'}
end
if ARGV[1] == 'not_executed' then
    redis.call('DEL', KEYS[1])
else
    local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, tonumber(kept[2]) + 1, time)
    fence = string.format('%.0f', fence)
    redis.call('SET', KEYS[2], fence)
    if tonumber(ARGV[3]) then
        redis.call('EXPIRE', KEYS[2], 86400) -- another clock than the server's is a test's
    end
    redis.call('HDEL', KEYS[1], 'token', 'lease_until', 'latch', 'waited', 'over_doubt', 'error',
        'owner_process', 'owner_process_2')
    redis.call('HSET', KEYS[1], 'state', 'completed', 'fence', fence, 'executed_at', string.format('%.0f', now),
        'expires_at', string.format('%.0f', math.min(now + ARGV[4], 9007199254740991)), unpack(ARGV, 8))
    redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
if kept[5] then
    redis.pcall('PUBLISH', ARGV[5], ARGV[6])
end
return false
