-- Removes a record; answers whether a live one was there. KEYS: the record. ARGV: 1 now in us or '' for the server's time;
-- 2 channel for news; 3 the action's key; 4 '' for any record, else the fence of the finished one that is meant.
local kept = redis.call('HMGET', KEYS[1], 'state', 'expires_at', 'waited', 'fence')
if not kept[1] then
    return 0
end
local finished = kept[1] == 'completed' or kept[1] == 'failed'
if ARGV[4] ~= '' and not (finished and kept[4] == ARGV[4]) then
    return 0
end
redis.call('DEL', KEYS[1])
if kept[3] then
    redis.pcall('PUBLISH', ARGV[2], ARGV[3])
end
local now = tonumber(ARGV[1])
if finished and now and tonumber(kept[2]) <= now then
    return 0
end
return 1
