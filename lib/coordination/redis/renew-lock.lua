#!lua flags=allow-oom
-- Keeps a lock for another ttl from now on, if it is still held by this token.
--
-- KEYS[1]  the lock
-- ARGV[1]  token of the holder
-- ARGV[2]  ttl, milliseconds
--
-- Returns 1  renewed
--         0  lost: it has expired, and somebody else may hold it

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
