-- Releases a latch. KEYS: the record. ARGV: fence, now in us or '' for the server's time.
local kept = redis.call('HMGET', KEYS[1], 'fence', 'state')
if kept[1] == ARGV[1] and kept[2] == 'in_progress' then
    redis.call('HSET', KEYS[1], 'latch', 'dispatched')
    return false
end
local now = tonumber(ARGV[2])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
return {now, redis.call('HGETALL', KEYS[1])}
