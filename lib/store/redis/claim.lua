#!lua flags=allow-oom
-- Takes the right to store an entry, also from whoever has it. What is stored stays.
--
-- KEYS[1]  the lease. Expires.
-- ARGV[1]  token of this attempt, 22 characters
-- ARGV[2]  how long the claim is for, milliseconds
--
-- `now` is the time of the server in microseconds; `history` the one in which it was claimed.
--
-- Returns {1, now, history}  claimed

-- include _time
-- include _history
-- include _void

void(KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, micros(), history_of_server()}
