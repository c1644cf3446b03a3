-- Extends a lease. KEYS: the record. ARGV: fence, lease in us, now in us or '' for the server's time.
local kept = redis.call('HMGET', KEYS[1], 'fence', 'state')
if kept[1] ~= ARGV[1] or kept[2] ~= 'in_progress' then
    return 0
end
local now = tonumber(ARGV[3])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
redis.call('HSET', KEYS[1], 'lease_until', string.format('%.0f', now + ARGV[2]))
return 1
