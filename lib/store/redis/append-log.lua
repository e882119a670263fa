#!lua flags=allow-oom
-- Adds a message to the log, and publishes it. A copy of it that is executed late adds it once more, which does no harm.
--
-- KEYS[1]  what is known of the log: epoch, history, seq. Expires.
-- KEYS[2]  the latest messages, a stream. Expires.
-- KEYS[3…] tags that are invalidated by it. Expire.
-- ARGV[1]  channel
-- ARGV[2]  who appends it
-- ARGV[3]  the message
-- ARGV[4]  a new epoch, 22 characters, in case there is none
-- ARGV[5]  how many messages to keep, roughly
-- ARGV[6]  how long to keep the log after the last use, milliseconds
-- ARGV[7]  how long to keep the tags at least, milliseconds
--
-- `now` is the time of the server in microseconds.
--
-- Returns {1, now, epoch, seq}  added, and where the log ends with it

-- include _time
-- include _history
-- include _epoch
-- include _tag
-- include _append

local epoch, seq = append(KEYS[1], KEYS[2], ARGV[4], ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[6])
for at = 3, #KEYS do set_tag(KEYS[at], epoch, seq, ARGV[7]) end
return {1, micros(), epoch, seq}
