-- Writes a result by hand, under a new fence. KEYS: the record, the fence counter of its slot. ARGV: 1 now in us or '' for
-- the server's time; 2 ttl in us; 3 '0': a new key may not be added; 4 channel for news; 5 the action's key; 6 ttl in ms;
-- then names and values of fields.
local time = redis.call('TIME')
time = time[1] * 1000000 + time[2]
local now = tonumber(ARGV[1]) or time
local kept = redis.call('HMGET', KEYS[1], 'state', 'fence', 'attempts', 'started_at', 'expires_at', 'waited')
local live = kept[1] and not ((kept[1] == 'completed' or kept[1] == 'failed') and tonumber(kept[5]) <= now)
if not live and ARGV[3] == '0' then
    return 'full'
end
local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, tonumber(kept[2] or 0) + 1, time)
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence)
if tonumber(ARGV[1]) then
    redis.call('EXPIRE', KEYS[2], 86400) -- another clock than the server's is a test's
end
local text = string.format('%.0f', now)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'state', 'completed', 'fence', fence, 'attempts', live and kept[3] or 1,
    'started_at', live and kept[4] or text, 'executed_at', text,
    'expires_at', string.format('%.0f', math.min(now + ARGV[2], 9007199254740991)), unpack(ARGV, 7))
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if kept[6] then
    redis.pcall('PUBLISH', ARGV[4], ARGV[5])
end
return 'written'
