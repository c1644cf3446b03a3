-- Writes a record as it is, unless a live one is there. KEYS: the record, the fence counter of its slot. ARGV: 1 now in us
-- or '' for the server's time; 2 when it expires in us, '' for never; 3 ms that the server
-- keeps it longer; then names and values of fields.
local time = redis.call('TIME')
time = time[1] * 1000000 + time[2]
local now = tonumber(ARGV[1]) or time
local kept = redis.call('HMGET', KEYS[1], 'state', 'expires_at', 'fence')
local over = (kept[1] == 'completed' or kept[1] == 'failed') and tonumber(kept[2]) <= now
if kept[1] and not over then
    return 'occupied'
end
local ends = tonumber(ARGV[2])
if ends and ends <= now then
    return 'expired'
end
local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, tonumber(kept[3] or 0) + 1, time)
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence)
if tonumber(ARGV[1]) then
    redis.call('EXPIRE', KEYS[2], 86400) -- another clock than the server's is a test's
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'fence', fence, unpack(ARGV, 4))
if ends then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(math.ceil((ends - now) / 1000) + ARGV[3], 9007199254740)))
end
return 'written'
