-- Adds calls to a record's attempts. KEYS: the record. ARGV: its fence, the calls.
if redis.call('HGET', KEYS[1], 'fence') == ARGV[1] then
    redis.call('HINCRBY', KEYS[1], 'attempts', ARGV[2])
end
return 0
