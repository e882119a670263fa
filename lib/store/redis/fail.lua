#!lua flags=allow-oom
-- Gives a lease back without a record, and has the entry left alone for a while.
--
-- KEYS[1]  the lease. Expires.
-- ARGV[1]  token
-- ARGV[2]  how long nobody is to load who has something acceptable, milliseconds; 0 for not at all
--
-- `now` is the time of the server in microseconds.
--
-- Returns {1, now}  given back
--         {0, now}  the token has no lease, or has it no longer

-- include _time
-- include _void

if not is_held_by(ARGV[1], KEYS[1]) then return {0, micros()} end
void(KEYS[1])
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], '!', 'PX', ARGV[2]) end
return {1, micros()}
