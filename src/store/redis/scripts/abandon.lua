-- Takes back the claim that a call may have been granted unheard. KEYS: the record. ARGV: token, channel for news, the
-- action's key.
local kept = redis.call('HMGET', KEYS[1], 'token', 'state', 'over_doubt', 'waited')
if kept[1] ~= ARGV[1] or kept[2] ~= 'in_progress' then
    return 0
end
if kept[3] then
    redis.call('HSET', KEYS[1], 'state', 'in_doubt')
    redis.call('HDEL', KEYS[1], 'token', 'lease_until', 'latch', 'waited', 'over_doubt', 'owner_process',
        'owner_process_2')
else
    redis.call('DEL', KEYS[1])
end
if kept[4] then
    redis.pcall('PUBLISH', ARGV[2], ARGV[3])
end
return 1
